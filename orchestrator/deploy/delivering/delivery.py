"""Build here, there or elsewhere; bring it to the host."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from orchestrator.core.checks import Check
from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.event import Phase
from orchestrator.core.executor import Executor
from orchestrator.core.host import BuildOn, BuildSite, Cache, UnsignedBuilds
from orchestrator.core.plan import HostPlan, Step
from orchestrator.core.store import Evaluated, OutPath
from orchestrator.deploy.delivering.batches import Member
from orchestrator.deploy.delivering.caches import in_time
from orchestrator.deploy.delivering.copying import copy, copy_from
from orchestrator.deploy.work import HostWork
from orchestrator.host import boot
from orchestrator.host.scripts import fetch, keep
from orchestrator.host.setup import reach
from orchestrator.host.status import ask_state
from orchestrator.nix import verbs as nix


def site_of(work: HostWork) -> BuildSite:
    """Where a host's system is built."""
    return work.session.request.build or work.host.build


def fetches(work: HostWork) -> bool:
    """Whether a host fetches its system, signed; a person who names a way has it copied."""
    substitutes = work.host.substitute is not None and work.session.request.copy is None
    return substitutes and site_of(work).on is not BuildOn.TARGET


def say_or_refuse(work: HostWork, plan: HostPlan) -> None:
    """Tell whose word a host's system is taken for.

    Raises:
        RefusedError: The host accepts nothing that another machine built, unless it is signed.
    """
    if not {Step.BUILD, Step.COPY} <= set(plan.steps) or not (builder := _unsigned(work)):
        return
    text = f"built on {builder} and not signed: whoever is root there decides what runs here"
    if work.host.unsigned_builds is UnsignedBuilds.REFUSE:
        error = RefusedError(
            f"to be {text}, which `unsigned_builds: refuse` forbids",
            hint="build it here (--build-on here), or have it fetched from a cache that the "
            "builder fills and signs for (docs/caches.md)",
        )
        error.step = "build"
        raise error
    if site_of(work).on is BuildOn.BUILDER:
        work.notice(text, warning=True)


def _unsigned(work: HostWork) -> str:
    """Another machine whose builds reach the host without a signature; empty where there is none.

    What Nix's own builders give back is in the store here as if it had been built here.
    """
    site = site_of(work)
    match site.on:
        case BuildOn.TARGET:
            return ""
        case BuildOn.BUILDER:
            foreign = site.builder != work.host.name and not fetches(work)
            return str(site) if foreign else ""
        case BuildOn.HERE:
            builders = work.session.setup.fleet.builders
            return " or ".join(line.partition(" ")[0] for line in builders)


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
    if await _has_it(work, plan, executor):
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


async def _has_it(work: HostWork, plan: HostPlan, executor: Executor | None) -> bool:
    """Ask a host whether it has its system already, where nothing is to be built that it has.

    Raises:
        UnreachableError: The connection was lost.
    """
    if executor is None or not (work.session.request.fast and plan.goal.copies):
        return False
    work.has_target = await keep(executor, plan.target.out)
    if work.has_target:
        work.log("neither built nor copied (--fast): the host has the system")
    return work.has_target


async def deliver(work: HostWork, plan: HostPlan, executor: Executor) -> None:
    """Bring what was built to the host, where the plan says so.

    Raises:
        StepError: The copy failed.
    """
    if Step.COPY not in plan.steps or work.has_target:
        return
    if await keep(executor, plan.target.out):
        work.log("nothing to copy: the system is valid on the host")
        return
    if await _fetched(work, plan, executor):
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
            member=Member(work.host.name, work.log, work.doing, work.host.nix),
        )


async def _build_there(work: HostWork, wanted: Evaluated, builder: Executor) -> None:
    async with work.turn(Phase.BUILD, work.session.gates.builds), builder.nix_store() as store:
        await keep(builder, wanted.out)
        await nix.build_on(
            *(store, wanted),
            settings=work.host.nix,
            deadline=work.host.deadlines.build,
            on_stderr=work.on_nix_line,
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


async def refuse_one_way(work: HostWork, out: OutPath, executor: Executor) -> tuple[str, ...]:
    """Look at a system where it was built, before the host gets it.

    Returns:
        What a person should know nevertheless.

    Raises:
        RefusedError: Nothing could change it: it has no ``switch-to-configuration``, or no Nix.
        StepError: Who has it did not say.
    """
    with work.step(Phase.PREFLIGHT):
        missing = await _missing(work, out, executor)
        if boot.SWITCH in missing:
            raise RefusedError(
                f"{out.short} could never be changed again, nor rolled back: it has no "
                f"{boot.SWITCH}",
                hint="set `system.switch.enable = true` in its configuration",
                checks=(Check.WAY_BACK.value,),
            )
        if boot.NIX not in missing:
            return ()
        text = f"{out.short} could never be changed again by a deployment: it has no Nix"
        if Check.WAY_BACK.value in work.session.request.skip_preflight:
            warning = f"preflight: {Check.WAY_BACK.value} was skipped: {text}"
            work.notice(warning, warning=True)
            return (warning,)
        raise RefusedError(
            f"{Check.WAY_BACK.value}: {text}",
            hint="set `nix.enable = true` in its configuration\nto deploy nevertheless, which is "
            f"recorded: --skip-preflight {Check.WAY_BACK.value}",
            checks=(Check.WAY_BACK.value,),
        )


async def _missing(work: HostWork, out: OutPath, executor: Executor) -> frozenset[str]:
    """Ask this machine, then the host, then the builder; the first that has the system tells."""
    seconds = work.host.deadlines.connect
    missing = boot.missing_here(out)
    if missing is None:
        missing = await boot.missing_there(executor, out, seconds)
    if missing is None:
        async with AsyncExitStack() as stack:
            if (builder := await builder_of(work, stack)) is not None:
                missing = await boot.missing_there(builder, out, seconds)
    return missing or frozenset()


async def substitute(
    work: HostWork, out: OutPath, executor: Executor, cache: Cache, *, here: bool
) -> None:
    """Have a host fetch its system from a cache, which is filled first where that is ours to do.

    Args:
        work: The host's share of the run.
        out: The system.
        executor: The way to the host.
        cache: Where it comes from.
        here: Whether the system is in the store of this machine.

    Raises:
        RefusedError: The cache is filled from here, and the system is not.
        StepError: The cache could not be filled, or the host not fetch.
    """
    deadline = work.host.deadlines.copy
    with work.step(Phase.COPY):
        if cache.push is not None:
            _require_here(cache, here=here)
            member = Member(work.host.name, work.log, work.doing)
            await work.session.pushes.push(cache, out, deadline=deadline, member=member)
        work.doing(f"fetching from the cache {cache.name}")
        async with in_time(cache, "fetching from", deadline):
            await fetch(executor, out, cache, work.on_nix_line)


def _require_here(cache: Cache, *, here: bool) -> None:
    if not here:
        raise RefusedError(
            f"the cache {cache.name!r} is filled from this machine, and another one built",
            hint="build here; or, where the builder fills the cache itself, leave `push` out",
        )
