"""Build a host's system where the inventory says, and bring it to the host."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from orchestrator.adapters import nix
from orchestrator.adapters.executor import Executor
from orchestrator.adapters.host.transfer import transfer
from orchestrator.engine.setup import reach
from orchestrator.engine.work import HostWork
from orchestrator.errors import StepError
from orchestrator.model.event import Phase
from orchestrator.model.host import BuildOn, BuildSite
from orchestrator.model.plan import HostPlan, Step


async def deliver(work: HostWork, plan: HostPlan, executor: Executor | None) -> None:
    """Build, and copy where the plan says so.

    Args:
        work: The host's share of the run.
        plan: What to build.
        executor: The way to the host; ``None`` where the goal does not contact it.

    Raises:
        StepError: The build or the copy failed.
    """
    site = work.session.request.build or work.host.build
    copies = Step.COPY in plan.steps
    async with AsyncExitStack() as stack:
        match site.on:
            case BuildOn.HERE:
                await _build_here(work, plan)
                if copies and executor is not None:
                    await _copy(work, plan, executor)
            case BuildOn.TARGET:
                await _build_there(work, plan, executor or await work.connect(stack))
            case BuildOn.BUILDER:
                builder = await _builder(work, site, stack)
                await _build_there(work, plan, builder)
                if copies and executor is not None:
                    await _transfer(work, plan, builder, executor)


async def _build_here(work: HostWork, plan: HostPlan) -> None:
    roots = Path(work.session.setup.state, "roots")
    roots.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with work.turn(Phase.BUILD, work.session.gates.builds):
        await nix.build(
            plan.target,
            root=str(roots / work.host.name),
            deadline=work.host.deadlines.build,
            on_stderr=work.on_nix_line,
        )


async def _build_there(work: HostWork, plan: HostPlan, builder: Executor) -> None:
    async with work.turn(Phase.BUILD, work.session.gates.builds), builder.nix_store() as store:
        await nix.build_on(
            store, plan.target, deadline=work.host.deadlines.build, on_stderr=work.on_nix_line
        )


async def _builder(work: HostWork, site: BuildSite, stack: AsyncExitStack) -> Executor:
    setup = work.session.setup
    builder = setup.fleet.hosts.get(site.builder or "")
    if builder is None:
        raise StepError(f"the builder {site.builder!r} is no host of this fleet")
    with work.step(Phase.BUILD):
        return await stack.enter_async_context(reach(setup, builder))


async def _copy(work: HostWork, plan: HostPlan, executor: Executor) -> None:
    async with work.turn(Phase.COPY, work.session.gates.copies), executor.nix_store() as store:
        try:
            await nix.copy(
                plan.target.out,
                to=store,
                deadline=work.host.deadlines.copy,
                on_stderr=work.on_nix_line,
            )
        except StepError as error:
            if "protocol mismatch" in error.stderr:
                error.hint = (
                    "the login shell prints text where Nix is to speak: "
                    "have its start-up files print for interactive shells only"
                )
            # The socket is gone by the time a person reads this.
            where = work.session.setup.ssh.connect_for(work.host.name, work.host.connect)
            user = f"{where.user}@" if where.user else ""
            error.command = (error.command or "").replace(store, f"ssh-ng://{user}{where.address}")
            raise


async def _transfer(work: HostWork, plan: HostPlan, builder: Executor, executor: Executor) -> None:
    async with work.turn(Phase.COPY, work.session.gates.copies):
        await transfer(builder, executor, plan.target.out, work.host.deadlines.copy)
