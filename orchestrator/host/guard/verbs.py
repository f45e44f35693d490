"""What a deployer says to the guard on a host, and asks of it.

Only the guard changes an attempt: whoever asks, reads what it decided. Each verb may be said again
over another connection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.core.errors import StepError, UnreachableError
from orchestrator.core.executor import Executor
from orchestrator.core.guard import Attempt, AttemptState
from orchestrator.core.lines import split_lines
from orchestrator.core.process import how_it_ended
from orchestrator.host.guard.parse import lines_of, parse_attempt, plain
from orchestrator.host.guard.program import carried, program
from orchestrator.host.lock_lines import values_of

DEADLINE = 60.0
"""Seconds for a verb that waits for nothing but the guard's mutex and the disk."""

LOG = "orchestrator-guard-log"
"""Opens the line after which the log comes, and says where in it that begins."""

REFUSED = 65
"""How a verb ends that says on standard error why it did nothing."""

_LOG = re.compile(rf"^{LOG} (\d{{1,18}})\n".encode(), re.MULTILINE)


class DeclinedError(StepError):
    """The guard's program on the host did nothing, and said why."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a host says of an attempt.

    Attributes:
        attempt: The attempt; ``None`` where the host knows of none with that token, and then none
            with that token will ever begin.
        log: What ``switch-to-configuration`` said since the position asked for.
        position: Where the log ends, to be asked for next.
    """

    attempt: Attempt | None
    log: str
    position: int


async def start(executor: Executor, attempt: Attempt) -> Told:
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
) -> Told:
    """Wait until an attempt is in another state, and no longer than a time.

    A guard that was ended is started again, and then finishes the attempt or takes it back. An
    attempt of which the host knows nothing will never begin from here on.

    Args:
        executor: The way to the host; it may be another one each time.
        token: The attempt's.
        state: The state that it was in when last seen.
        seconds: How long to wait.
        position: Where the log was last read to.

    Raises:
        UnreachableError: The connection was lost; the guard goes on.
        StepError: The host could not say.
    """
    argv = carried("await", token, state.value, str(int(seconds)), str(position))
    return await _ask(executor, "say how far it is", argv, deadline=seconds + DEADLINE)


async def contact(executor: Executor, token: str) -> Told:
    """Say over a connection made after activation that the host can be reached.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host could not take it.
    """
    return await _ask(executor, "take word of the contact", carried("contact", token))


async def confirm(executor: Executor, token: str) -> Told:
    """Say that all is well: the guard commits, unless it has begun to go back.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host could not take it.
    """
    return await _ask(executor, "take the confirmation", carried("confirm", token))


async def back(executor: Executor, token: str, why: str) -> Told:
    """Have the guard go back, wherever it is before the commit; an activation is ended first.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host could not take it.
    """
    return await _ask(executor, "be told to go back", carried("back", token, plain(why)))


async def resume(executor: Executor, token: str) -> Told:
    """Have an attempt whose guard was ended, or was cut off by a boot, finished or taken back.

    Does nothing where its guard is at work, or the attempt has ended.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The guard could not be started.
    """
    return await _ask(executor, "resume its attempt", carried("resume", token))


async def seen(executor: Executor, token: str) -> Told:
    """Note that a deployer has been told of the attempt's end.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host could not write it.
    """
    return await _ask(executor, "note that its attempt was seen", carried("seen", token))


async def reached(executor: Executor, token: str, *, anew: bool = False) -> Told:
    """Note, over a connection that was made after the host went back, that one gets in again.

    A connection that the host finds to be an older one counts for nothing.

    Args:
        executor: The way to the host.
        token: The attempt's.
        anew: Whether the connection is known to be a new one: where the host cannot tell.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host could not write it.
    """
    return await _ask(
        executor, "note that it was reached", carried("reached", token, "anew" if anew else "")
    )


async def _ask(
    executor: Executor, what: str, argv: tuple[str, ...], deadline: float = DEADLINE
) -> Told:
    done = await executor.run(argv, deadline=deadline, stdin=program().encode())
    found = _LOG.search(done.stdout)
    if done.rc == 0 and found is not None:
        return _told(done.stdout[: found.start()], int(found[1]), done.stdout[found.end() :])
    by_hand = executor.repeat(("cat", "/run/orchestrator/attempt"))
    if done.rc == REFUSED:
        raise DeclinedError(
            f"the host could not {what}: {done.err.strip()}", command=by_hand, stderr=done.err
        )
    # Whoever asked was ended, not the guard: nothing is known of that.
    raise UnreachableError(
        f"the host could not {what} ({how_it_ended(done.rc)})", command=by_hand, stderr=done.err
    )


def _told(answer: bytes, position: int, log: bytes) -> Told:
    values = values_of(answer.decode(errors="replace"))
    return Told(parse_attempt(values), log.decode(errors="replace"), position + len(log))
