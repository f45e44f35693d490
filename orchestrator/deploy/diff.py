"""What a deployment would change on a host."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.changes.knowledge import KnownSystems
from orchestrator.changes.source import Source
from orchestrator.core.errors import StepError
from orchestrator.core.foreign import split_lines
from orchestrator.core.host import Host
from orchestrator.core.state import HostState
from orchestrator.core.store import Evaluated, OutPath
from orchestrator.deploy.delivering.building import Builds, Member
from orchestrator.host import scripts
from orchestrator.host.setup import Gates, Setup, reach
from orchestrator.host.state import ask_state
from orchestrator.nix import verbs as nix
from orchestrator.nix.evaluation import Evaluations, Quiet


@dataclass(frozen=True, slots=True)
class Change:
    """A package whose paths differ; a version is empty where the name has none.

    Attributes:
        before: Versions there now, sorted; empty where the package is new.
        after: Versions there would be; empty where it goes.
    """

    package: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HostDiff:
    """A host's system against the one wanted."""

    host: Host
    state: HostState
    wanted: OutPath
    changes: tuple[Change, ...]


# A version begins at the first dash that a digit follows: Nix's own rule for derivation names.
# https://nix.dev/manual/nix/latest/language/builtins#builtins-parseDrvName
_NAME = re.compile(r"(.*?)-(\d.*)")


def diff(before: Iterable[OutPath], after: Iterable[OutPath]) -> tuple[Change, ...]:
    """Compare two closures by package; a package with the same paths in both is left out."""
    there, wanted = set(before), set(after)
    old, new = _versions(there - wanted), _versions(wanted - there)
    return tuple(
        Change(name, tuple(sorted(old.get(name, ()))), tuple(sorted(new.get(name, ()))))
        for name in sorted(old.keys() | new.keys())
    )


def _versions(paths: Iterable[OutPath]) -> dict[str, list[str]]:
    versions: dict[str, list[str]] = {}
    for path in paths:
        found = _NAME.fullmatch(path.name)
        name, version = (found[1], found[2]) if found else (path.name, "")
        versions.setdefault(name, []).append(version)
    return versions


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
