"""Times and lists as people say them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def ago(then: datetime, now: datetime) -> str:
    """Say how long ago something was, such as ``3 min ago``; a clock that is behind says so."""
    seconds = (now - then).total_seconds()
    if seconds < -60:
        return f"at {then:%Y-%m-%d %H:%M} by a clock ahead of this one"
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{max(int(seconds), 0)} s ago"


def listing(names: Sequence[str], most: int = 3) -> str:
    """Name a few things, and say how many there are beyond them."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
