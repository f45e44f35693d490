r"""Text and JSON of strangers: split at ``\n`` only, and read without surprises."""

from __future__ import annotations

import json
from typing import Any

_DIGITS = 18
"""More are nobody's: no number here has more, and Python refuses some thousands of them."""


def split_lines(text: str) -> list[str]:
    """Split at newlines; the last line may lack its own."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines


def whole_number(text: str) -> int | None:
    """Read decimal digits, no more than any number here has; ``None`` for all else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else None


def parse_json(text: str | bytes) -> Any:
    """Read it.

    Raises:
        ValueError: It is not JSON, or deeper than anything that is meant.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is too deep") from None
