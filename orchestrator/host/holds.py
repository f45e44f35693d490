"""A person's word on hosts: hold them, lift the hold, take a lock away."""

from __future__ import annotations

import asyncio
import getpass
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from orchestrator.core.answer import HoldAnswer
from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.executor import Executor
from orchestrator.core.host import Host
from orchestrator.core.lock import Hold, Lock
from orchestrator.host import lock
from orchestrator.host.lock import Answer, Told
from orchestrator.host.setup import Gates, Setup, reach


async def hold(setup: Setup, hosts: Sequence[Host], reason: str) -> tuple[HoldAnswer, ...]:
    """Place one hold on every host, unless another stands there."""
    new = Hold(secrets.token_hex(2), whoami(), reason, datetime.now(UTC))

    async def place(executor: Executor) -> Told:
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
    if told.answer is Answer.LOCKED and told.lock:
        raise RefusedError(
            f"another deployment has its lock by now: {told.lock.in_words(now)}",
            hint="nothing was taken; look again: orchestrator lock show",
        )
    return told.answer is Answer.DONE


def whoami() -> str:
    """``user@machine``, as locks, holds and records name people."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


async def _on_all(
    setup: Setup, hosts: Sequence[Host], ask: Callable[[Executor], Awaitable[Told]]
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
        return HoldAnswer(host, told.answer is Answer.DONE, told.hold, live)

    return tuple(await asyncio.gather(*(on(host) for host in hosts)))
