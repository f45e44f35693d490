r"""Lines and numbers in a text that others wrote: a line ends at a newline, and at nothing else.

``str.splitlines`` ends one at ``\v``, ``\f``, ``\x1c`` and the like as well: whoever may write
one of these into a value begins a line of his own with it.
"""

from __future__ import annotations

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
