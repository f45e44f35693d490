"""The derivations of hosts' systems, in the store here: known from before, else evaluated."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from orchestrator.changes.knowledge import KnownSystems
from orchestrator.changes.model import Known
from orchestrator.changes.source import Source
from orchestrator.core.errors import StepError
from orchestrator.core.host import Host
from orchestrator.core.store import DrvPath
from orchestrator.host.setup import Setup
from orchestrator.nix import verbs as nix
from orchestrator.nix.asker import Quiet
from orchestrator.nix.evaluation import Evaluations


async def systems_of_hosts(setup: Setup, hosts: Sequence[Host]) -> dict[str, DrvPath | StepError]:
    """Tell each host's system; one that does not evaluate is its own host's error."""
    async with Source(setup.flake) as source:
        known = KnownSystems(setup, hosts, source)
        evaluations = Evaluations(source, setup.fleet.limits, setup.state, len(hosts))

        async def of(host: Host) -> DrvPath | StepError:
            knowledge = await known.of(host)
            # What is known may have been collected as garbage since.
            if isinstance(knowledge, Known) and nix.is_here(
                drv := knowledge.fingerprint.evaluated.drv
            ):
                return drv
            try:
                return (await evaluations.evaluate(Quiet(host))).drv
            except StepError as error:
                return error

        async with asyncio.TaskGroup() as group:
            tasks = {host.name: group.create_task(of(host)) for host in hosts}
        return {name: task.result() for name, task in tasks.items()}
