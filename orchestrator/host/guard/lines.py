"""The lines of an attempt and of a record, as they are on a host."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime

from orchestrator.core.commit import Checkout
from orchestrator.core.plan import Goal
from orchestrator.core.state import Attempt, AttemptState, BootSource, HostState, Record
from orchestrator.core.store import OutPath, is_specialisation
from orchestrator.core.units import field_lines, whole_number

_REACHED = {"0": False, "1": True}


def parse_attempt(values: Mapping[str, str]) -> Attempt | None:
    """Read an attempt; ``None`` where there is none, or none that can be read.

    Args:
        values: The first lines of ``attempt.KEY``, ``uptime``, and ``guard``, its unit's state.
    """
    fields = _below("attempt.", values)
    name = fields.get("specialisation", "")
    with contextlib.suppress(ValueError, KeyError, OverflowError, OSError):
        return Attempt(
            token=fields["token"],
            goal=Goal(fields["goal"]),
            target=OutPath.parse(fields["target"]),
            before=_before(fields),
            run=_number(fields["run"]),
            who=fields["who"],
            revision=fields.get("revision") or None,
            began=_time(fields["began"]),
            emergency=fields.get("emergency") or None,
            skipped=tuple(fields.get("skipped", "").split()),
            activate_seconds=_number(fields["activate_seconds"]),
            confirm_seconds=_number(fields["confirm_seconds"]),
            health_seconds=_number(fields["health_seconds"]),
            state=AttemptState(fields["state"]),
            turned=AttemptState(fields["turned"]) if fields.get("turned") else None,
            why=fields.get("why", ""),
            activation=fields.get("activation", ""),
            seconds_left=_seconds_left(fields, values),
            ended=_time(fields["ended"]) if fields.get("ended") else None,
            seen=fields.get("seen") == "1",
            reached=_REACHED.get(fields.get("reached", "")),
            specialisation=name if is_specialisation(name) else "",
            live=_found(fields.get("live", "")),
            over_ssh=fields.get("way") == "ssh",
            failing=tuple(filter(None, fields.get("failing", "").split("|"))),
            words=tuple(filter(None, fields.get("words", "").split("|"))),
            words_before=tuple(filter(None, fields.get("words_before", "").split("|"))),
            guard_gone=values.get("guard") in ("inactive", "failed"),
            checkout=Checkout.parse(fields),
        )
    return None


def parse_record(values: Mapping[str, str]) -> Record | None:
    """Read the record, the lines of a committed attempt; one that cannot be read counts as none.

    Args:
        values: The first lines of each ``record.KEY``.
    """
    fields = _below("record.", values)
    with contextlib.suppress(ValueError, KeyError, OverflowError, OSError):
        return Record(
            run=_number(fields["run"]),
            who=fields["who"],
            revision=fields.get("revision") or None,
            out_path=OutPath.parse(fields["target"]),
            at=_time(fields["ended"]),
            emergency=fields.get("emergency") or None,
            skipped=tuple(fields.get("skipped", "").split()),
            began=_time(fields["began"]) if "began" in fields else None,
            token=fields.get("token", ""),
            checkout=Checkout.parse(fields),
        )
    return None


def lines_of(attempt: Attempt) -> str:
    """Write an attempt that is to begin."""
    before = attempt.before
    fields = {
        "format": "1",
        "token": attempt.token,
        "unit": attempt.unit,
        "run": str(attempt.run),
        "who": attempt.who,
        "revision": attempt.revision or "",
        **attempt.checkout.fields,
        "goal": attempt.goal.value,
        "emergency": attempt.emergency or "",
        "skipped": " ".join(attempt.skipped),
        "began": str(int(attempt.began.timestamp())),
        "target": attempt.target.path,
        "live": _path(attempt.live),
        "specialisation": attempt.specialisation,
        "running": _path(before.running),
        "profile": _path(before.profile),
        "boot_default": _path(before.boot_default),
        "boot_source": before.boot_source.value,
        "machine_id": before.machine_id,
        "boot_id": before.boot_id,
        "failed": " ".join(before.failed_units),
        "activate_seconds": str(attempt.activate_seconds),
        "confirm_seconds": str(attempt.confirm_seconds),
        "health_seconds": str(attempt.health_seconds),
        "way": "ssh" if attempt.over_ssh else "local",
        "last_resort": attempt.last_resort.value,
    }
    return field_lines(fields)


def _below(prefix: str, values: Mapping[str, str]) -> dict[str, str]:
    return {k.removeprefix(prefix): text for k, text in values.items() if k.startswith(prefix)}


def _before(fields: Mapping[str, str]) -> HostState:
    return HostState(
        machine_id=fields["machine_id"],
        boot_id=fields["boot_id"],
        running=_found(fields["running"]),
        booted=None,
        profile=_found(fields["profile"]),
        boot_default=_found(fields["boot_default"]),
        boot_source=BootSource(fields["boot_source"]),
        failed_units=tuple(fields.get("failed", "").split()),
    )


def _found(text: str) -> OutPath | None:
    return OutPath.parse(text) if text else None


def _path(path: OutPath | None) -> str:
    return "" if path is None else path.path


def _time(seconds: str) -> datetime:
    return datetime.fromtimestamp(_number(seconds), UTC)


def _seconds_left(fields: Mapping[str, str], values: Mapping[str, str]) -> int | None:
    deadline, now = fields.get("deadline"), values.get("uptime")
    return max(_number(deadline) - _number(now), 0) if deadline and now else None


def _number(text: str) -> int:
    if (number := whole_number(text)) is None:
        raise ValueError(f"not a number: {text[:20]!r}")
    return number
