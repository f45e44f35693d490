"""Ask one host which systems it knows; nothing is changed."""

from __future__ import annotations

from orchestrator.core.executor import Executor
from orchestrator.core.generation import HostSystems
from orchestrator.core.host import Host
from orchestrator.host.generations import ask_systems
from orchestrator.host.setup import Setup, reach
from orchestrator.host.state import ask_state


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
