"""What waits for an absent host, as its file has it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from orchestrator.core.goal import Goal
from orchestrator.core.host import is_host_name
from orchestrator.core.pending import Pending
from orchestrator.core.run import Reboot
from orchestrator.core.store import DrvPath, Evaluated, OutPath

FORMAT = 1
"""Of a file: one of a newer format is left alone."""


class NewerError(Exception):
    """Written by a newer orchestrator."""


def to_json(pending: Pending) -> dict[str, object]:
    """What the file has."""
    return {
        "format": FORMAT,
        "host": pending.host,
        "drv": pending.system.drv.path,
        "out": pending.system.out.path,
        "goal": pending.goal.value,
        "run": pending.run,
        "who": pending.who,
        "revision": pending.revision,
        "reason": pending.reason,
        "since": pending.since.isoformat(),
        "expires": pending.expires.isoformat(),
        "verify": pending.verify,
        "skip_preflight": list(pending.skip_preflight),
        "reboot": pending.reboot.value,
        "tries": pending.tries,
        "last_try": pending.last_try.isoformat() if pending.last_try else None,
        "problem": pending.problem,
    }


def from_json(entry: dict[str, Any], host: str) -> Pending:
    """Read a file of the host.

    Raises:
        NewerError: It is of a newer format.
        ValueError, OverflowError, KeyError, TypeError, AttributeError: It is damaged.
    """
    if int(entry["format"]) > FORMAT:
        raise NewerError(f"its format {entry['format']} is of a newer orchestrator")
    if entry["host"] != host or not is_host_name(host):
        raise ValueError(f"it is of {entry['host']!r}")
    last = entry["last_try"]
    return Pending(
        host=host,
        system=Evaluated(DrvPath(entry["drv"]), OutPath(entry["out"])),
        run=int(entry["run"]),
        who=str(entry["who"]),
        revision=_text(entry["revision"]),
        reason=str(entry["reason"]),
        since=_time(entry["since"]),
        expires=_time(entry["expires"]),
        goal=Goal(entry["goal"]),
        verify=bool(entry["verify"]),
        skip_preflight=tuple(str(check) for check in entry["skip_preflight"]),
        reboot=Reboot(entry["reboot"]),
        tries=int(entry["tries"]),
        last_try=_time(last) if last else None,
        problem=_text(entry["problem"]),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _time(text: str) -> datetime:
    """A time with its zone: one without is damage, as it could be compared with nothing."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return found.astimezone(UTC)
