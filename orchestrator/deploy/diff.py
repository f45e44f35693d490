"""What a deployment would change on a host."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from orchestrator.changes.knowledge import KnownSystems
from orchestrator.changes.source import Source
from orchestrator.core.changed import PackageChange
from orchestrator.core.errors import StepError
from orchestrator.core.foreign import split_lines
from orchestrator.core.host import Host
from orchestrator.core.state import HostState
from orchestrator.core.store import Evaluated, OutPath
from orchestrator.deploy.delivering.building import Builds, Member
from orchestrator.deploy.plan.difference import diff
from orchestrator.host import scripts
from orchestrator.host.setup import Gates, Setup, reach
from orchestrator.host.state import ask_state
from orchestrator.nix import verbs as nix
from orchestrator.nix.evaluation import Evaluations, Quiet


@dataclass(frozen=True, slots=True)
class HostDiff:
    """A host's system against the one wanted."""

    host: Host
    state: HostState
    wanted: OutPath
    changes: tuple[PackageChange, ...]


async def diff_host(setup: Setup, host: Host) -> HostDiff:
    """Build the wanted system here and compare its closure with the host's running one.

    Raises:
        StepError: The host does not answer, or its configuration does not evaluate or build.
    """
    try:
        async with asyncio.TaskGroup() as group:
            building = group.create_task(_wanted(setup, host))
            asking = group.create_task(_running(setup, host))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    wanted, (state, running) = building.result(), asking.result()
    changes = diff(running, await nix.requisites(wanted.out))
    return HostDiff(host, state, wanted.out, changes)


async def _wanted(setup: Setup, host: Host) -> Evaluated:
    async with Source(setup.flake) as source:
        evaluations = Evaluations(source, setup.fleet.limits, setup.state, 1)
        known = KnownSystems(setup, (host,), source)
        wanted, _ = await known.system(Quiet(host), evaluations, here=True)
    roots = Path(setup.state, "roots")
    roots.mkdir(parents=True, exist_ok=True, mode=0o700)
    builds = Builds.of(setup, Gates.of(setup.fleet.limits))
    quiet = Member(host.name, lambda _: None, lambda _: None)
    root = roots / host.name
    await builds.build(wanted, root=root, deadline=host.deadlines.build, member=quiet)
    return wanted


async def _running(setup: Setup, host: Host) -> tuple[HostState, tuple[OutPath, ...]]:
    async with reach(setup, host) as executor:
        state = await ask_state(executor, host)
        done = await executor.run(scripts.script(scripts.CLOSURE), deadline=host.deadlines.copy)
        if done.rc != 0:
            raise StepError("the host did not list its running system's closure", stderr=done.err)
        return state, _closure(done.out)


def _closure(text: str) -> tuple[OutPath, ...]:
    try:
        return tuple(OutPath.parse(line) for line in split_lines(text))
    except ValueError as error:
        raise StepError(f"the host's answer is not understood: {error}") from None
