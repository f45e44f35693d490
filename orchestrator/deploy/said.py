"""Where the inventory says what of hosts: its text, read once in a run, and only if it is asked."""

from __future__ import annotations

from pathlib import Path

from orchestrator.deploy.work import HostWork
from orchestrator.inventory.load import Inventory, load
from orchestrator.inventory.tree import Resolved


async def origins(work: HostWork) -> tuple[Resolved, ...]:
    """Each value of a host and where it came from.

    Raises:
        OrchestratorError: The inventory has mistakes by now, or the host is none of it any more.
    """
    session = work.session

    async def read() -> Inventory:
        return load(Path(session.setup.fleet.root))

    inventory = await session.evaluations.once.of("inventory", read)
    return inventory.origins(work.host.name)
