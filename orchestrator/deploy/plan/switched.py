"""What failed where ``switch-to-configuration`` ended with 4, and whether that is new."""

from __future__ import annotations

import re
from collections.abc import Iterable

_UNITS = re.compile(r"^warning: the following units failed: (.+)$", re.MULTILINE)
_JOB = re.compile(
    r"^(?:Failed to (?:start|restart|reload|stop) (?!user unit )|Job for )(\S+\.[a-z]+)\b",
    re.MULTILINE,
)
_USER = re.compile(r"^warning: (user activation for \S+) failed$", re.MULTILINE)


def to_blame(said: str, before: Iterable[str]) -> tuple[str, ...] | None:
    """Find what failed that did not fail before: a unit, a job, a user's activation.

    Args:
        said: What ``switch-to-configuration`` said.
        before: Units that were failed before it began.

    Returns:
        Their names; none where all that failed is old; ``None`` where it did not say what failed.
    """
    units = {name.strip() for line in _UNITS.findall(said) for name in line.split(",")}
    named = units | set(_JOB.findall(said)) | set(_USER.findall(said))
    return tuple(sorted(named - set(before))) if named else None
