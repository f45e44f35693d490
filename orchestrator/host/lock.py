"""A host's lock and hold: take, renew, release and steal the one, place and lift the other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from orchestrator.core.claims import Hold, Lock
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.units import field_lines
from orchestrator.host.lock_scripts import (
    HOLD,
    LIFT,
    RELEASE,
    RENEW,
    STEAL,
    TAKE,
    parse_hold,
    parse_lock,
    values_of,
)
from orchestrator.host.scripts import STATE, script

DEADLINE = 30.0
"""Seconds for one of these scripts: each waits for nothing but the mutex."""


class LockAnswer(Enum):
    """What one of these scripts found or did."""

    DONE = "done"
    LOCKED = "locked"
    HELD = "held"
    FREE = "free"


_HOST = "orchestrator-host\n"
"""Opens what the host says of itself, at the beginning of a line: a value may end like that."""


def _then_asking(text: str) -> str:
    """In the same round trip, with the mutex given back."""
    return f"(\n{text}\n) || exit\nprintf %s '{_HOST}'\n{STATE}"


_ANSWERS = frozenset(answer.value for answer in LockAnswer)


@dataclass(frozen=True, slots=True)
class LockReply:
    """A script's answer, and what stood there before it.

    Attributes:
        unreadable: Whether there was a lock that nobody can have written.
        boot_id: The boot in which this was so.
        host: What ``STATE`` prints right afterwards, where a script asks that too.
    """

    answer: LockAnswer
    lock: Lock | None
    hold: Hold | None
    unreadable: bool
    boot_id: str
    host: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a deployment writes into the lock; ``despite`` is the hold that it may go past."""

    token: str
    who: str
    run: int
    reason: str
    since: datetime
    seconds: int
    despite: str = ""


async def take(
    executor: Executor, claim: Claim, gone: str = "", *, seconds: float = 0
) -> LockReply:
    """Take a host's lock, unless another's counts or a hold stands; ask what the host is.

    Args:
        executor: The way to the host.
        claim: What is written into it.
        gone: The token of a holder whose lock counts no more, as its process has ended.
        seconds: How long the host may take to say what it is, beside the lock's own deadline.

    Raises:
        UnreachableError: The connection was lost; whether it was taken is not known.
        StepError: The host could not say, or write it.
    """
    argv = script(_then_asking(TAKE), claim.token, str(claim.seconds), claim.despite, gone)
    return await _ask(executor, "take the lock", argv, _lines(claim), seconds)


async def renew(
    executor: Executor, claim: Claim, boot_id: str, *, asks: bool = False, seconds: float = 0
) -> LockReply:
    """Have a lock that is ours count for longer.

    Args:
        executor: The way to the host.
        claim: As it was taken.
        boot_id: The boot in which it was taken.
        asks: Whether the host is asked what it is, too.
        seconds: How long it may take to say that, beside the lock's own deadline.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host could not say, or write it.
    """
    text = _then_asking(RENEW) if asks else RENEW
    argv = script(text, claim.token, str(claim.seconds), claim.despite, boot_id)
    return await _ask(executor, "renew the lock", argv, _lines(claim), seconds)


async def release(executor: Executor, token: str) -> LockReply:
    """Give a lock back, where it is still ours.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host could not do it.
    """
    return await _ask(executor, "release the lock", script(RELEASE, token))


async def steal(executor: Executor, token: str, who: str, reason: str, now: datetime) -> LockReply:
    """Take the lock with this token from its holder; whoever comes next may have it.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host could not do it.
    """
    fields = {"token": f"stolen-{token}", "who": who, "reason": reason, "since": _epoch(now)}
    return await _ask(executor, "take the lock away", script(STEAL, token), field_lines(fields))


async def place_hold(executor: Executor, hold: Hold) -> LockReply:
    """Place a hold, unless one stands.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host could not write it.
    """
    fields = {"who": hold.who, "reason": hold.reason}
    if hold.since:
        fields["since"] = _epoch(hold.since)
    argv = script(HOLD, f"id={hold.id}")
    return await _ask(executor, "place the hold", argv, field_lines(fields))


async def lift_hold(executor: Executor) -> LockReply:
    """Lift the hold that stands.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host could not remove it.
    """
    return await _ask(executor, "lift the hold", script(LIFT))


async def _ask(
    executor: Executor, what: str, argv: tuple[str, ...], lines: str = "", seconds: float = 0
) -> LockReply:
    done = await executor.run(argv, deadline=DEADLINE + seconds, stdin=lines.encode())
    told, _, host = done.out.partition(f"\n{_HOST}")
    values = values_of(told)
    if done.rc != 0 or values.get("answer") not in _ANSWERS:
        raise StepError(
            f"the host could not {what} (exit {done.rc})",
            hint="see whether there is room below /run and /var/lib, and what keeps the mutex",
            command=executor.repeat(("ls", "-l", "/run/orchestrator", "/var/lib/orchestrator")),
            stderr=done.err,
        )
    lock = parse_lock(values)
    return LockReply(
        answer=LockAnswer(values["answer"]),
        lock=lock,
        hold=parse_hold(values),
        unreadable=lock is None and "lock" in values,
        boot_id=values.get("boot_id", ""),
        host=host,
    )


def _lines(claim: Claim) -> str:
    return field_lines(
        {
            "token": claim.token,
            "who": claim.who,
            "run": str(claim.run),
            "reason": claim.reason,
            "since": _epoch(claim.since),
        }
    )


def _epoch(when: datetime) -> str:
    return str(int(when.timestamp()))
