"""What hosts answer to ``status``, ``hold``, ``generations``."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.executor import Executor
from orchestrator.core.generation import HostSystems
from orchestrator.core.host import Host
from orchestrator.core.state import Hold, HostState, Lock
from orchestrator.host import lock
from orchestrator.host.generations import ask_systems
from orchestrator.host.lock import LockAnswer, LockReply
from orchestrator.host.setup import Gates, Setup, reach, whoami
from orchestrator.host.state import ask_state


@dataclass(frozen=True, slots=True)
class HostAnswer:
    """What one host said: a state, or why there is none.

    Attributes:
        seconds: From the first packet to the answer.
    """

    host: Host
    state: HostState | None
    error: StepError | None
    seconds: float


@dataclass(frozen=True, slots=True)
class HoldAnswer:
    """What became of a hold that was to be placed on a host, or lifted there.

    Attributes:
        done: Whether something was changed there.
        hold: The hold that stands now; where one was lifted, that one.
        lock: The deployment that is at the host.
        error: Why the host could not be asked.
    """

    host: Host
    done: bool = False
    hold: Hold | None = None
    lock: Lock | None = None
    error: StepError | None = None


async def ask_all(setup: Setup, hosts: Sequence[Host]) -> tuple[HostAnswer, ...]:
    """Ask each host for its state; one that does not answer keeps nobody waiting."""
    gate = Gates.of(setup.fleet.limits).connections
    return tuple(await asyncio.gather(*(_ask(setup, host, gate) for host in hosts)))


async def _ask(setup: Setup, host: Host, gate: asyncio.Semaphore) -> HostAnswer:
    async with gate:
        began = time.monotonic()
        try:
            async with reach(setup, host) as executor:
                state = await ask_state(executor, host)
        except StepError as error:
            return HostAnswer(host, None, error, time.monotonic() - began)
        return HostAnswer(host, state, None, time.monotonic() - began)


async def hold(setup: Setup, hosts: Sequence[Host], reason: str) -> tuple[HoldAnswer, ...]:
    """Place one hold on every host, unless another stands there."""
    new = Hold(secrets.token_hex(2), whoami(), reason, datetime.now(UTC))

    async def place(executor: Executor) -> LockReply:
        return await lock.place_hold(executor, new)

    answers = await _on_all(setup, hosts, place)
    return tuple(replace(each, hold=new) if each.done else each for each in answers)


async def lift(setup: Setup, hosts: Sequence[Host]) -> tuple[HoldAnswer, ...]:
    """Lift whatever hold stands on every host."""
    return await _on_all(setup, hosts, lock.lift_hold)


async def steal(setup: Setup, host: Host, agreed: Lock, reason: str) -> bool:
    """Take a host's lock from the holder that a person agreed on.

    Returns:
        Whether it was there to be taken; else nobody has it by now.

    Raises:
        StepError: The host could not be asked.
        RefusedError: Another deployment has it by now.
    """
    now = datetime.now(UTC)
    async with reach(setup, host) as executor:
        told = await lock.steal(executor, agreed.token, whoami(), reason, now)
    if told.answer is LockAnswer.LOCKED and told.lock:
        raise RefusedError(
            f"another deployment has its lock by now: {told.lock.in_words(now)}",
            hint="nothing was taken; look again: orchestrator status --locks",
        )
    return told.answer is LockAnswer.DONE


async def _on_all(
    setup: Setup, hosts: Sequence[Host], ask: Callable[[Executor], Awaitable[LockReply]]
) -> tuple[HoldAnswer, ...]:
    gate = Gates.of(setup.fleet.limits).connections

    async def on(host: Host) -> HoldAnswer:
        async with gate:
            try:
                async with reach(setup, host) as executor:
                    told = await ask(executor)
            except StepError as error:
                return HoldAnswer(host, error=error)
        live = told.lock if told.lock and told.lock.is_live else None
        return HoldAnswer(host, told.answer is LockAnswer.DONE, told.hold, live)

    return tuple(await asyncio.gather(*(on(host) for host in hosts)))


async def systems_of(setup: Setup, host: Host) -> HostSystems:
    """Ask a host for its generations, and what deployments recorded there.

    Raises:
        StepError: It did not answer.
    """
    async with reach(setup, host) as executor:
        return await ask_both(executor, host)


async def ask_both(executor: Executor, host: Host) -> HostSystems:
    """Ask what a host runs, then which systems it knows.

    Raises:
        StepError: It did not answer.
    """
    state = await ask_state(executor, host)
    return await ask_systems(executor, state, host.deadlines.connect)
