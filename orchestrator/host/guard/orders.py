"""Orders to the guard on a host, and what it answers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from msgspec import Struct

from orchestrator.core.commit import Checkout
from orchestrator.core.errors import StepError, UnreachableError
from orchestrator.core.executor import Executor
from orchestrator.core.plan import Goal
from orchestrator.core.process import how_it_ended
from orchestrator.core.state import Attempt, AttemptState, BootSource, HostState, Record
from orchestrator.core.store import OutPath, is_specialisation
from orchestrator.core.units import field_lines, on_one_line, split_lines, whole_number
from orchestrator.host.lock_scripts import values_of
from orchestrator.host.scripts import SYSTEMS, script

PARTS = (
    *("places", "attempt", "prove", "act", "switch", "snippets", "door", "door_listener"),
    *("door_account", "door_files", "door_network", "door_firewall"),
    *("run", "back", "resort", "verbs"),
)
"""The files that make the program, in order; the last one ends it."""


@cache
def program() -> str:
    """The whole program; ``$1`` is the verb."""
    first, *rest = (Path(__file__).with_name(f"{part}.sh").read_text() for part in PARTS)
    return "\n".join([first, SYSTEMS.strip(), *rest])


def carried(verb: str, *arguments: str) -> tuple[str, ...]:
    """The argv that runs a verb of the program that comes on standard input."""
    return script('program=$(cat) && eval "$program"', verb, *arguments)


def passing_on(token: str, size: int) -> tuple[str, ...]:
    """The argv that reads ``size`` bytes, the program; then why the guard is to go back."""
    text = 'program=$(head -c "$1") && shift && eval "$program"'
    return script(text, str(size), "pass_on", token)


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


DEADLINE = 60.0
"""Seconds for a verb that waits for nothing but the guard's mutex and the disk."""

LOG = "orchestrator-guard-log"
"""Opens the line after which the log comes, and says where in it that begins."""

REFUSED = 65
"""How a verb ends that says on standard error why it did nothing."""

_LOG = re.compile(rf"^{LOG} (\d{{1,18}})\n".encode(), re.MULTILINE)


class DeclinedError(StepError):
    """The guard's program on the host did nothing, and said why."""


class GuardReply(Struct, frozen=True):
    """What a host says of an attempt.

    Attributes:
        attempt: ``None`` where the host knows of none with that token, and none will ever begin.
        log: What ``switch-to-configuration`` said since the position asked for.
        position: Where the log ends, to be asked for next.
    """

    attempt: Attempt | None
    log: str
    position: int


async def start(executor: Executor, attempt: Attempt) -> GuardReply:
    """Write an attempt down on the host and start its guard, which begins at once.

    Where the connection is lost meanwhile, :func:`await_` tells what became of it.

    Raises:
        UnreachableError: The connection was lost; whether it began is not known.
        DeclinedError: It did not begin, and nothing was touched: another attempt is in flight, the
            host is not what ``attempt.before`` says, or there is no room to write it down.
    """
    lines = [line for line in split_lines(lines_of(attempt)) if line]
    return await _ask(executor, "start the guard", carried("start", attempt.token, *lines))


async def await_(
    executor: Executor, token: str, state: AttemptState, seconds: float, position: int = 0
) -> GuardReply:
    """Wait until an attempt is in another state, and no longer than a time.

    A guard that was ended is started again, and then finishes the attempt or takes it back. An
    attempt of which the host knows nothing will never begin from here on.

    Args:
        executor: The way to the host; it may be another each time.
        token: The attempt's.
        state: In which it was last seen.
        seconds: How long to wait.
        position: Where the log was last read to.

    Raises:
        UnreachableError: The connection was lost; the guard goes on.
        StepError: The host could not say.
    """
    argv = carried("await", token, state.value, str(int(seconds)), str(position))
    return await _ask(executor, "say how far it is", argv, deadline=seconds + DEADLINE)


async def contact(executor: Executor, token: str) -> GuardReply:
    """Say over a connection made after activation that the host can be reached.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host could not take it.
    """
    return await _ask(executor, "take word of the contact", carried("contact", token))


async def confirm(executor: Executor, token: str) -> GuardReply:
    """Say that all is well: the guard commits, unless it has begun to go back.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host could not take it.
    """
    return await _ask(executor, "take the confirmation", carried("confirm", token))


async def back(executor: Executor, token: str, why: str) -> GuardReply:
    """Have the guard go back, wherever it is before the commit; an activation is ended first.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host could not take it.
    """
    return await _ask(executor, "be told to roll back", carried("back", token, on_one_line(why)))


async def resume(executor: Executor, token: str) -> GuardReply:
    """Have an attempt whose guard was ended, or was cut off by a boot, finished or rolled back.

    Does nothing where its guard is at work, or the attempt has ended.

    Raises:
        StepError: The connection was lost, or the guard could not be started.
    """
    return await _ask(executor, "resume its attempt", carried("resume", token))


async def seen(executor: Executor, token: str) -> GuardReply:
    """Note that a deployer has been told of the attempt's end.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host could not write it.
    """
    return await _ask(executor, "note that its attempt was seen", carried("seen", token))


async def reached(executor: Executor, token: str, *, anew: bool = False) -> GuardReply:
    """Note, over a connection that was made after the host rolled back, that one gets in again.

    A connection that the host finds to be an older one counts for nothing; ``anew`` says that it is
    known to be a new one, where the host cannot tell.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host could not write it.
    """
    verb = carried("reached", token, "anew" if anew else "")
    return await _ask(executor, "note that it was reached", verb)


async def _ask(
    executor: Executor, what: str, argv: tuple[str, ...], deadline: float = DEADLINE
) -> GuardReply:
    done = await executor.run(argv, deadline=deadline, stdin=program().encode())
    found = _LOG.search(done.stdout)
    if done.rc == 0 and found is not None:
        return _told(done.stdout[: found.start()], int(found[1]), done.stdout[found.end() :])
    by_hand = executor.repeat(("cat", "/run/orchestrator/attempt"))
    if done.rc == REFUSED:
        why = f"the host could not {what}: {done.err.strip()}"
        raise DeclinedError(why, command=by_hand, stderr=done.err)
    # Whoever asked was ended, not the guard: nothing is known of that.
    raise UnreachableError(
        f"the host could not {what} ({how_it_ended(done.rc)})", command=by_hand, stderr=done.err
    )


def _told(answer: bytes, position: int, log: bytes) -> GuardReply:
    attempt = parse_attempt(values_of(answer.decode(errors="replace")))
    return GuardReply(attempt, log.decode(errors="replace"), position + len(log))
