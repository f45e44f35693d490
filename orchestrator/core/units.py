"""Text, JSON, durations and sizes: of strangers, read without surprises; for people, in words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

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


_DURATIONS = ((86400, "d"), (3600, "h"), (60, "min"))


def ago(then: datetime, now: datetime) -> str:
    """Say how long ago something was, such as ``3 min ago``; a clock that is behind says so."""
    seconds = (now - then).total_seconds()
    if seconds < -60:
        return f"at {then:%Y-%m-%d %H:%M} by a clock ahead of this one"
    for size, unit in _DURATIONS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{max(int(seconds), 0)} s ago"


def on_one_line(text: str) -> str:
    """Put a blank in the place of what is not printable: no text begins another line."""
    return "".join(each if each.isprintable() else " " for each in text)


def field_lines(fields: Mapping[str, str]) -> str:
    """Write ``KEY=VALUE`` lines, as files on hosts have them; no value begins another line."""
    return "".join(f"{key}={on_one_line(value)}\n" for key, value in fields.items())


MOST_NAMED = 20
"""Names of hosts in one sentence: of many equal machines it would have no end."""


def listing(names: Sequence[str], most: int = 3) -> str:
    """Name a few things, and say how many there are beyond them."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


DURATION = r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(s|m|h|d)?"
"""A number and a unit, wherever a duration is written; without a unit it is seconds."""

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str) -> float:
    """Read a duration such as ``90``, ``30s``, ``1.5h`` or ``7d`` as seconds.

    Raises:
        ValueError: It is none.
    """
    found = re.fullmatch(DURATION, text)
    if found is None:
        raise ValueError(f"expected a duration such as 30s, 5m, 2h or 7d, not {text!r}")
    return float(found[1]) * _SECONDS[found[2] or "s"]


SIZE = r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(M|G|T)"
"""A number and a unit; units are powers of 1024, as systemd's ``MemoryMax=`` has them."""

_UNITS = {"M": 1024**2, "G": 1024**3, "T": 1024**4}


class MemoryLimit(NamedTuple):
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
    """Say bytes in the words of a person: ``12 KiB``, ``640 MiB``, ``3.0 GiB``."""
    if size < _UNITS["M"]:
        return f"{size / 1024:.0f} KiB"
    if size < _UNITS["G"]:
        return f"{size / _UNITS['M']:.0f} MiB"
    return f"{size / _UNITS['G']:.1f} GiB"


def bytes_text(size: int) -> str:
    """Say bytes in powers of 1000, in few characters: ``512 B``, ``1.2 kB``, ``12 MB``."""
    if size < 1000:
        return f"{size} B"
    amount, unit = size / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if amount < 999.5:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.1f} {unit}" if amount < 9.95 else f"{amount:.0f} {unit}"
