"""Build a host's system where the inventory says, and bring it to the host."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.event import Phase
from orchestrator.core.executor import Executor
from orchestrator.core.host import BuildOn, BuildSite
from orchestrator.core.plan import HostPlan, Step
from orchestrator.core.store import Evaluated
from orchestrator.deploy.delivering.batches import Member
from orchestrator.deploy.delivering.copying import copy, copy_from
from orchestrator.deploy.delivering.substitution import substitute
from orchestrator.deploy.delivering.trust import fetches, say_or_refuse, site_of
from orchestrator.deploy.work import HostWork
from orchestrator.host.setup import reach
from orchestrator.host.state import ask_state
from orchestrator.nix import verbs as nix


async def build(work: HostWork, plan: HostPlan, executor: Executor | None) -> None:
    """Build a host's system where the inventory says.

    Args:
        work: The host's share of the run.
        plan: What to build.
        executor: The way to the host; ``None`` where the goal does not contact it.

    Raises:
        StepError: The build failed.
    """
    wanted = plan.target
    if Step.BUILD not in plan.steps or not isinstance(wanted, Evaluated):
        return
    say_or_refuse(work, plan)
    site = site_of(work)
    async with AsyncExitStack() as stack:
        match site.on:
            case BuildOn.HERE:
                await _build_here(work, wanted)
            case BuildOn.TARGET:
                await _build_there(work, wanted, executor or await work.connect(stack))
            case BuildOn.BUILDER:
                await _build_there(work, wanted, await _builder(work, site, stack))


async def deliver(work: HostWork, plan: HostPlan, executor: Executor) -> None:
    """Bring what was built to the host, where the plan says so.

    Raises:
        StepError: The copy failed.
    """
    if Step.COPY not in plan.steps or await _fetched(work, plan, executor):
        return
    site = site_of(work)
    async with AsyncExitStack() as stack:
        match site.on:
            case BuildOn.HERE:
                await copy(work, plan.target.out, executor)
            case BuildOn.TARGET:
                pass
            case BuildOn.BUILDER:
                builder = await _builder(work, site, stack)
                await copy_from(work, plan.target.out, builder, executor)


async def builder_of(work: HostWork, stack: AsyncExitStack) -> Executor | None:
    """Reach the host of the fleet that builds for this one, where one does.

    Raises:
        StepError: It does not answer.
    """
    site = site_of(work)
    return await _builder(work, site, stack) if site.on is BuildOn.BUILDER else None


async def _fetched(work: HostWork, plan: HostPlan, executor: Executor) -> bool:
    """Whether the host fetches by itself, and then has."""
    name = work.host.substitute
    if name is None or not fetches(work):
        return False
    cache, here = work.session.setup.fleet.caches[name], site_of(work).on is BuildOn.HERE
    await substitute(work, plan.target.out, executor, cache, here=here)
    return True


async def _build_here(work: HostWork, wanted: Evaluated) -> None:
    roots = Path(work.session.setup.state, "roots")
    roots.mkdir(parents=True, exist_ok=True, mode=0o700)
    with work.step(Phase.BUILD):
        await work.session.builds.build(
            wanted,
            root=roots / work.host.name,
            deadline=work.host.deadlines.build,
            member=Member(work.host.name, work.log, work.doing),
        )


async def _build_there(work: HostWork, wanted: Evaluated, builder: Executor) -> None:
    async with work.turn(Phase.BUILD, work.session.gates.builds), builder.nix_store() as store:
        await nix.build_on(
            store, wanted, deadline=work.host.deadlines.build, on_stderr=work.on_nix_line
        )


async def _builder(work: HostWork, site: BuildSite, stack: AsyncExitStack) -> Executor:
    setup = work.session.setup
    builder = setup.fleet.hosts.get(site.builder or "")
    if builder is None:
        raise StepError(f"the builder {site.builder!r} is no host of this fleet")
    with work.step(Phase.BUILD):
        executor = await stack.enter_async_context(reach(setup, builder))
        another = (await ask_state(executor, builder)).another_than(builder.name)
        if another:
            raise RefusedError(
                f"the builder {builder.name} is another machine: it was deployed as {another}",
                hint="is its address wrong? Where it was renamed, deploy it first",
            )
        return executor
