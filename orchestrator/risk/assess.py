"""The risk of what hosts are to run, against that of what they run: recalled, else evaluated."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Sequence

from orchestrator.changes.knowledge import KnownSystems
from orchestrator.changes.source import Source
from orchestrator.core.errors import StepError
from orchestrator.core.host import Fleet, Host
from orchestrator.core.risk import Assessment, Floor, RiskChange
from orchestrator.core.state import HostState
from orchestrator.core.store import Evaluated
from orchestrator.host.setup import Setup
from orchestrator.nix import verbs as nix
from orchestrator.nix.asker import Asker, Quiet
from orchestrator.nix.evaluation import Evaluations
from orchestrator.nix.joint import Beside
from orchestrator.risk.evaluate import evaluate, of_surface, parse
from orchestrator.risk.kept import Kept, System, keep, recall
from orchestrator.risk.model import Surface
from orchestrator.risk.plan import score


def floors(fleet: Fleet, host: Host) -> tuple[Floor, ...]:
    """What a host's features declare of their risk."""
    found = (fleet.features[name] for name in host.features if name in fleet.features)
    return tuple(Floor(one.name, one.risk, one.because) for one in found if one.risk)


async def assess(
    setup: Setup, evaluations: Evaluations, asker: Asker, system: System, running: System | None
) -> RiskChange:
    """Say how a system would change its host's risk.

    Args:
        setup: The fleet.
        evaluations: Where it is evaluated, if it must be.
        asker: The host.
        system: What the configuration makes.
        running: What the host runs; ``None`` where that is not known.

    Raises:
        StepError: The configuration does not evaluate, or not within the memory there is.
    """
    after = await assessment(setup, evaluations, asker, system)
    return score.change(recalled(setup, running) if running is not None else None, after)


async def assessment(
    setup: Setup, evaluations: Evaluations, asker: Asker, system: System
) -> Assessment:
    """Say how much risk a system is to its host; raises as :func:`assess`."""
    declared = floors(setup.fleet, asker.host)

    async def find() -> Kept:
        kept = recall(setup.state, system)
        if kept is None or kept.floors != declared:
            surface = kept.surface if kept else await _evaluated(evaluations, asker, system)
            kept = Kept(system, surface, declared)
            keep(setup.state, kept)
        return kept

    return _assessed(await evaluations.once.of(("risk", system, declared), find))


def beside(setup: Setup, host: Host) -> Beside:
    """What to evaluate with a host's system, so that its risk is known with it."""
    name = host.specialisation.of("")

    def take(evaluated: Evaluated, said: bytes) -> None:
        with contextlib.suppress(StepError):  # it is asked for by itself then
            kept = Kept(System(evaluated.out, name), parse(said), floors(setup.fleet, host))
            keep(setup.state, kept)

    return Beside(of_surface(name), take)


def recalled(setup: Setup, system: System) -> Assessment | None:
    """Say the same of a system that was assessed before; ``None`` where that is not known here."""
    kept = recall(setup.state, system)
    return _assessed(kept) if kept is not None else None


async def _evaluated(evaluations: Evaluations, asker: Asker, system: System) -> Surface:
    question = functools.partial(evaluate, specialisation=system.specialisation)
    return await evaluations.ask(asker, question)


def _assessed(kept: Kept) -> Assessment:
    return score.assess(score.terms(kept.surface), kept.floors)


async def assess_hosts(setup: Setup, hosts: Sequence[Host]) -> dict[str, Assessment | StepError]:
    """Say the risk of what hosts are to run; what does not evaluate is its own host's error."""
    nix.require()
    async with Source(setup.flake) as source:
        known = KnownSystems(setup, hosts, source)
        limits, wanted = setup.fleet.limits, functools.partial(beside, setup)
        evaluations = Evaluations(source, limits, setup.state, len(hosts), wanted)

        async def of(host: Host) -> Assessment | StepError:
            try:
                evaluated, _ = await known.system(Quiet(host), evaluations)
                system = System(evaluated.out, _named(host))
                return await assessment(setup, evaluations, Quiet(host), system)
            except StepError as error:
                return error

        async with asyncio.TaskGroup() as group:
            tasks = {host.name: group.create_task(of(host)) for host in hosts}
        await known.keep(None)
        return {name: task.result() for name, task in tasks.items()}


def system_of(state: HostState) -> System | None:
    """What a host runs; ``None`` where it does not say."""
    if state.running is None:
        return None
    if state.running_as:
        return System(state.running_as[0].system, state.running_as[0].name)
    return System(state.running)


def _named(host: Host) -> str:
    """The specialisation that a host is to run whatever it runs now."""
    return host.specialisation.name
