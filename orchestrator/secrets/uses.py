"""What hosts' configurations say of their secrets: known of a system, else evaluated."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from orchestrator.changes.knowledge import KnownSystems
from orchestrator.changes.model import Known
from orchestrator.changes.source import Source
from orchestrator.changes.tree.place import repository
from orchestrator.core.errors import StepError
from orchestrator.core.host import Host
from orchestrator.core.store import OutPath
from orchestrator.host.setup import Setup
from orchestrator.nix.asker import Asker, Quiet
from orchestrator.nix.evaluation import Evaluations
from orchestrator.secrets import nix_secrets
from orchestrator.secrets import uses_kept as secret_uses
from orchestrator.secrets.model.host import HostSecrets


async def secrets_of(
    setup: Setup, evaluations: Evaluations, asker: Asker, out: OutPath | None
) -> HostSecrets:
    """Say what a host's configuration says of its secrets.

    Args:
        setup: The fleet.
        evaluations: Where it is evaluated, if it must be.
        asker: The host.
        out: The system that the configuration makes, where that is known.

    Raises:
        StepError: The configuration does not evaluate, or not within the memory there is.
    """
    folder = setup.state / "secrets"
    if out is not None:
        kept = secret_uses.recall(folder, asker.host.name, out)
        if kept is not None and _is_current(kept, setup.flake.folder):
            return kept
    found = await evaluations.ask(asker, nix_secrets.evaluate)
    if out is not None:
        secret_uses.keep(folder, out, found)
    return found


def _is_current(secrets: HostSecrets, folder: str) -> bool:
    """Whether its files are where they were: a system does not tell where they came from."""
    try:
        root = repository(folder)
    except StepError:
        return False
    return all(Path(root, use.file).exists() for use in secrets.uses if use.in_repo)


async def secrets_of_hosts(
    setup: Setup, hosts: Sequence[Host]
) -> dict[str, HostSecrets | StepError]:
    """Say it of several hosts; what does not evaluate is its own host's error."""
    async with Source(setup.flake) as source:
        known = KnownSystems(setup, hosts, source)
        evaluations = Evaluations(source, setup.fleet.limits, setup.state, len(hosts))

        async def of(host: Host) -> HostSecrets | StepError:
            knowledge = await known.of(host)
            out = knowledge.fingerprint.evaluated.out if isinstance(knowledge, Known) else None
            try:
                return await secrets_of(setup, evaluations, Quiet(host), out)
            except StepError as error:
                return error

        async with asyncio.TaskGroup() as group:
            tasks = {host.name: group.create_task(of(host)) for host in hosts}
        return {name: task.result() for name, task in tasks.items()}
