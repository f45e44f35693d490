"""Ask hosts what they run, all at the same time; nothing is changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from orchestrator.core.answer import Answer
from orchestrator.core.errors import StepError
from orchestrator.core.host import Host
from orchestrator.host.setup import Gates, Setup, reach
from orchestrator.host.state import ask_state


async def ask_all(setup: Setup, hosts: Sequence[Host]) -> tuple[Answer, ...]:
    """Ask each host for its state; one that does not answer keeps nobody waiting."""
    gate = Gates.of(setup.fleet.limits).connections
    return tuple(await asyncio.gather(*(_ask(setup, host, gate) for host in hosts)))


async def _ask(setup: Setup, host: Host, gate: asyncio.Semaphore) -> Answer:
    async with gate:
        began = time.monotonic()
        try:
            async with reach(setup, host) as executor:
                state = await ask_state(executor, host)
        except StepError as error:
            return Answer(host, None, error, time.monotonic() - began)
        return Answer(host, state, None, time.monotonic() - began)
