"""Orders to the guard on a host, and what it answers."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from pathlib import Path

from msgspec import Struct

from orchestrator.core.errors import StepError, UnreachableError
from orchestrator.core.executor import Executor
from orchestrator.core.patterns import pattern
from orchestrator.core.process import how_it_ended
from orchestrator.core.state import Attempt, AttemptState
from orchestrator.core.units import on_one_line, split_lines
from orchestrator.host.guard.lines import lines_of, parse_attempt
from orchestrator.host.lock_scripts import values_of
from orchestrator.host.scripts import HOST_STATE, SYSTEMS, script

PARTS = (
    *("places", "attempt", "wake", "prove", "act", "switch", "snippets", "door", "door_listener"),
    *("door_account", "door_files", "door_network", "door_firewall"),
    *("run", "back", "resort", "verbs"),
)
"""The files that make the program, in order; the last one ends it."""


@cache
def program() -> str:
    """The whole program; ``$1`` is the verb."""
    first, *rest = (Path(__file__).with_name(f"{part}.sh").read_text() for part in PARTS)
    # In a shell of its own: it has names of its own, and variables that may not be set.
    host_state = f"host_state() (\nset +u\n{HOST_STATE.strip()}\n)"
    return "\n".join([first, SYSTEMS.strip(), host_state, *rest])


def carried(verb: str, *arguments: str) -> tuple[str, ...]:
    """The argv that runs a verb of the program that comes on standard input."""
    return script('program=$(cat) && eval "$program"', verb, *arguments)


def passing_on(token: str, size: int) -> tuple[str, ...]:
    """The argv that reads ``size`` bytes, the program; then why the guard is to go back."""
    text = 'program=$(head -c "$1") && shift && eval "$program"'
    return script(text, str(size), "pass_on", token)


DEADLINE = 60.0
"""Seconds for a verb that waits for nothing but the guard's mutex and the disk."""

LOG = "orchestrator-guard-log"
"""Opens the line after which the log comes, and says where in it that begins."""

HOST = b"orchestrator-guard-host\n"
"""Opens what the host says of itself, up to the log: a line, where a value may only end so."""

REFUSED = 65
"""How a verb ends that says on standard error why it did nothing."""

_LOG = pattern(rf"^{LOG} (\d{{1,18}})\n".encode(), re.MULTILINE)


class DeclinedError(StepError):
    """The guard's program on the host did nothing, and said why."""


class GuardReply(Struct, frozen=True):
    """What a host says of an attempt.

    Attributes:
        attempt: ``None`` where the host knows of none with that token, and none will ever begin.
        log: What ``switch-to-configuration`` said since the position asked for.
        position: Where the log ends, to be asked for next.
        host: What ``STATE`` prints, asked after the attempt was read, where a verb asks that.
    """

    attempt: Attempt | None
    log: str
    position: int
    host: str = ""


States = AttemptState | Collection[AttemptState]
"""One, or several."""


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
    executor: Executor, token: str, states: States, seconds: float, position: int = 0
) -> GuardReply:
    """Wait until an attempt is in another state, and no longer than a time.

    A guard that was ended is started again, and then finishes the attempt or takes it back. An
    attempt of which the host knows nothing will never begin from here on.

    Args:
        executor: The way to the host; it may be another each time.
        token: The attempt's.
        states: In which it was last seen, or is to pass through.
        seconds: How long to wait.
        position: Where the log was last read to.

    Raises:
        UnreachableError: The connection was lost; the guard goes on.
        StepError: The host could not say.
    """
    passed = (states,) if isinstance(states, AttemptState) else states
    names = ",".join(state.value for state in passed)
    argv = carried("await", token, f",{names},", str(int(seconds)), str(position))
    return await _ask(executor, "say how far it is", argv, deadline=seconds + DEADLINE)


async def contact(executor: Executor, token: str) -> GuardReply:
    """Say over a connection made after activation that the host can be reached; ask what it is.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host could not take it.
    """
    return await _ask(executor, "take word of the contact", carried("contact", token))


async def confirm(
    executor: Executor, token: str, seconds: float = 0, position: int = 0
) -> GuardReply:
    """Say that all is well: the guard commits, unless it has begun to go back. Ask what it is then.

    Args:
        executor: The way to the host.
        token: The attempt's.
        seconds: How long to wait for the attempt's end.
        position: Where the log was last read to.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host could not take it.
    """
    argv = carried("confirm", token, str(int(seconds)), str(position))
    return await _ask(executor, "take the confirmation", argv, deadline=seconds + DEADLINE)


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
    told, _, host = answer.partition(b"\n" + HOST)
    attempt = parse_attempt(values_of(told.decode(errors="replace")))
    return GuardReply(
        *(attempt, log.decode(errors="replace"), position + len(log)),
        host=host.decode(errors="replace"),
    )
