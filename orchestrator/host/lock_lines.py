"""Read what a host tells of its lock and its hold."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime

from orchestrator.core.lines import split_lines, whole_number
from orchestrator.core.lock import UNREADABLE, Hold, Lock
from orchestrator.host.lock_scripts import LONGEST_SECONDS


def parse_lock(values: Mapping[str, str]) -> Lock | None:
    """Read what ``TELL`` prints of the lock; ``None`` where there is none that can be read.

    Args:
        values: The answer's lines; of those with one key, the first.
    """
    expires, now = (whole_number(values.get(key, "")) for key in ("lock.expires", "uptime"))
    token = values.get("lock.token")
    if not token or expires is None or now is None or expires - now > LONGEST_SECONDS:
        return None
    return Lock(
        token=token,
        who=values.get("lock.who") or "somebody",
        run=whole_number(values.get("lock.run", "")),
        reason=values.get("lock.reason") or "no reason given",
        since=_time(values.get("lock.since", "")),
        expires_in=expires - now,
    )


def parse_hold(values: Mapping[str, str]) -> Hold | None:
    """Read what ``TELL`` prints of the hold; one that cannot be read is one nevertheless.

    Args:
        values: The answer's lines; of those with one key, the first.
    """
    if "hold" not in values:
        return None
    return Hold(
        id=values.get("hold.id") or UNREADABLE,
        who=values.get("hold.who") or "somebody",
        reason=values.get("hold.reason") or "no reason given",
        since=_time(values.get("hold.since", "")),
    )


def values_of(text: str) -> dict[str, str]:
    """Read `key=value` lines; of those with one key, the first."""
    values: dict[str, str] = {}
    for line in split_lines(text):
        key, _, value = line.partition("=")
        values.setdefault(key, value)
    return values


def _time(seconds: str) -> datetime | None:
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(int(seconds), UTC)
    return None
