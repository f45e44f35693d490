"""The memory that an evaluation took at its highest, kept between runs. Losing it costs time."""

from __future__ import annotations

import contextlib
from pathlib import Path


def read(file: Path) -> int:
    """Read the peak in bytes; 0 where none is kept, or what is kept is damaged."""
    try:
        text = file.read_text().strip()
    except (OSError, ValueError):
        return 0
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 16 else 0


def keep(file: Path, peak: int) -> None:
    """Keep a peak, as a whole or not at all; a full disk must not fail an evaluation."""
    new = file.with_name(f"{file.name}.new")
    with contextlib.suppress(OSError):
        new.write_text(f"{peak}\n")
        new.replace(file)
