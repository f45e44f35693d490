"""Memory: how much is free, and sizes as people write and read them: ``3G`` and ``3.0 GiB``."""

from __future__ import annotations

import re
from dataclasses import dataclass

SIZE = r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(M|G|T)"
"""A number and a unit; units are powers of 1024, as systemd's ``MemoryMax=`` has them."""

_UNITS = {"M": 1024**2, "G": 1024**3, "T": 1024**4}


@dataclass(frozen=True, slots=True)
class Room:
    """Memory that is free, in bytes.

    Attributes:
        source: Who says so, for people: ``this machine``, ``the control group /user.slice``.
    """

    size: int
    source: str


def parse_size(text: str) -> int:
    """Read a size such as ``512M`` or ``1.5G`` as bytes.

    Raises:
        ValueError: It is none, or nothing.
    """
    found = re.fullmatch(SIZE, text)
    size = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if size == 0:
        raise ValueError(f"not a size such as 512M or 3G: {text!r}")
    return size


def size_text(size: int) -> str:
    """Say bytes in the words of a person: ``640 MiB``, ``3.0 GiB``."""
    if size < _UNITS["G"]:
        return f"{size / _UNITS['M']:.0f} MiB"
    return f"{size / _UNITS['G']:.1f} GiB"
