"""What a plan says of a host that would change: asked of it, and read here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from orchestrator.catalogue.status import ask_running, changes_of
from orchestrator.core.changed import Foreseen, ForeseenUnits, NamesChange, Note, SystemChange
from orchestrator.core.contents import Contents, HostContents
from orchestrator.core.errors import OrchestratorError, StepError
from orchestrator.core.executor import Executor
from orchestrator.core.outcome import Completed, Deployed, Outcome
from orchestrator.core.plan import HostPlan
from orchestrator.core.process import how_it_ended
from orchestrator.core.state import HostState
from orchestrator.core.store import OutPath
from orchestrator.core.values import replace
from orchestrator.deploy.changing import specialisation
from orchestrator.deploy.changing.changed import planned, summed_up, would_differ
from orchestrator.deploy.changing.encrypted import encrypted
from orchestrator.deploy.changing.preflight import foresee
from orchestrator.deploy.plan import foresee as judge
from orchestrator.deploy.plan.decide import PARTS
from orchestrator.deploy.plan.difference import units_foretold
from orchestrator.deploy.plan.units import foresee as foresee_units
from orchestrator.deploy.said import origins
from orchestrator.deploy.work import HostWork
from orchestrator.host.contents import ask_contents, contents_here
from orchestrator.host.difference import Difference
from orchestrator.nix import closure as nix_closure
from orchestrator.nix import verbs as nix

_ALL = "size, units, users, files in /etc and secrets"
NOT_BUILT = f"not built yet: {_ALL} are not known (--build)"
ELSEWHERE = f"built on another machine: {_ALL} are not known before the host has it (--goal push)"


async def plan_outcome(
    work: HostWork, plan: HostPlan, state: HostState | None, executor: Executor | None
) -> Outcome:
    """Say what a plan would do to its host; the host is not changed.

    Args:
        work: The host's share of the run.
        plan: What was decided.
        state: What the host said of itself; ``None`` where the goal does not contact it.
        executor: The way to the host; likewise.

    Raises:
        StepError: The host did not answer.
    """
    if executor is None or state is None:
        return Completed(plan.reason, plan.target.out, plan.goal)
    checks = await foresee(work, plan, state, executor)
    found = await would_differ(work, plan, state, executor)
    if not plan.goal.changes_host:
        return Completed(plan.reason, plan.target.out, plan.goal)
    closure = None if found is None else summed_up(found)
    reason = planned(plan, state, closure) + specialisation.foreseen(plan)
    return Deployed(
        reason,
        plan.target.out,
        plan.goal,
        (*plan.warnings, *checks),
        changed=SystemChange(closure) if closure else None,
        specialisation=plan.specialisation,
        foreseen=await _of_run(work, plan, state, executor, found),
    )


async def _of_run(
    work: HostWork,
    plan: HostPlan,
    state: HostState,
    executor: Executor,
    found: Difference | None,
) -> Foreseen | None:
    if state.running is None or state.running == plan.activated:
        return None
    lacks = work.lacks
    change = Change(
        executor=executor,
        running=state.running,
        system=plan.target.out,
        live=plan.activated,
        there=lacks is not None and not lacks.paths,
        built=work.session.request.plan_builds,
        activates=plan.goal.activates,
        seconds=work.host.deadlines.activate,
    )

    async def read(system: OutPath) -> Contents:
        """Once for all hosts of the run, one system after the other."""
        async with work.session.reading:
            if system not in work.session.contents:
                work.session.contents[system] = await contents_here(system, PARTS)
            return work.session.contents[system]

    secrets = None if found is None else await encrypted(found.gone, found.new)
    told = await foretell(change, secrets, read)
    told = replace(told, budget=work.host.preflight.closure_budget)
    if lacks is not None:
        told = replace(told, copy_size=lacks.load.size, copy_paths=lacks.load.paths)
    return replace(told, notes=await _features(work, executor))


async def _features(work: HostWork, executor: Executor) -> tuple[Note, ...]:
    """Say which features come and go, each with its reason; nothing where that is not known."""
    try:
        running = await ask_running(executor)
        said = await origins(work)
    except OrchestratorError:
        return ()
    return changes_of(work.host, said, running)


@dataclass(frozen=True, slots=True)
class Change:
    """What would be changed where.

    Attributes:
        executor: The way to the host.
        running: What runs there.
        system: The system that it is to have.
        live: What it is to run: that, or a specialisation of it.
        there: Whether the host has it whole.
        built: Whether it was built just now, wherever that is done.
        activates: Whether it is switched to now, and not at the next boot.
        seconds: After which a dry activation is given up.
    """

    executor: Executor
    running: OutPath
    system: OutPath
    live: OutPath
    there: bool
    built: bool
    activates: bool
    seconds: float


Read = Callable[[OutPath], Awaitable[Contents]]


async def foretell(change: Change, secrets: NamesChange | None, read: Read) -> Foreseen:
    """Find what a change would bring, from what is there and here of both systems.

    What cannot be found is said in ``unknown``, and fails nothing.

    Args:
        change: The change.
        secrets: How the closures differ in encrypted files; ``None`` where that is not known.
        read: Reads a system in the store of this machine.
    """
    here = nix.is_here(change.live)
    if not (here or change.there):
        return Foreseen(unknown=(ELSEWHERE if change.built else NOT_BUILT,))
    # Of the system: its specialisations come with it, and are what a budget is of.
    size = await nix_closure.closure_size(change.system) if nix.is_here(change.system) else None
    told = Foreseen(size=size, secrets=secrets)
    try:
        other = None if here else change.live
        host = await ask_contents(change.executor, change.running, other, PARTS)
        after = await read(change.live) if here else host.other
    except StepError as error:
        return replace(told, unknown=(f"units, users and files in /etc: {error.message}",))
    if after is None:
        return replace(told, unknown=("units, users and files in /etc: the host did not say",))
    own = (await read(change.system)).parts if here and change.live != change.system else None
    reboot, live = judge.boots(host.running, after, host.booted, own)
    units, doubts = await _units(change, host, after) if change.activates and live else (None, ())
    users = judge.accounts(host.running.users, after.users)
    if users is None:
        doubts += ("users: the systems have no list of them",)
    return replace(
        told,
        units=units,
        users=users,
        groups=judge.accounts(host.running.groups, after.groups),
        etc=judge.names(host.running.etc, after.etc),
        reboot=reboot,
        live=live,
        unknown=doubts,
    )


async def _units(
    change: Change, host: HostContents, after: Contents
) -> tuple[ForeseenUnits | None, tuple[str, ...]]:
    """Find what becomes of units, and what of that is in doubt."""
    computed = None
    if host.active is not None:
        computed = foresee_units(host.running, after, host.active)
    if not change.there:
        return computed, () if computed else ("units: the host did not say which run",)
    argv = (f"{change.live}/bin/switch-to-configuration", "dry-activate")
    try:
        done = await change.executor.run(argv, deadline=change.seconds)
    except StepError as error:
        return computed, (f"units: dry-activate did not end: {error.message}",)
    if done.rc != 0:
        return computed, (f"units: dry-activate failed ({how_it_ended(done.rc)})",)
    return judge.completed(units_foretold(f"{done.out}\n{done.err}"), computed), ()
