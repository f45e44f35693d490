"""Carry out what was decided for a host: deliver, then as far as the goal goes."""

from __future__ import annotations

from contextlib import AsyncExitStack

from orchestrator.adapters.executor import Executor
from orchestrator.adapters.host import scripts
from orchestrator.adapters.host.state import ask_state
from orchestrator.engine.activation import Activation, require_return
from orchestrator.engine.delivery import build, deliver
from orchestrator.engine.line import Line
from orchestrator.engine.lock import held, refuse_if_taken
from orchestrator.engine.preflight import preflight
from orchestrator.engine.reboot import reboot
from orchestrator.engine.work import HostWork
from orchestrator.errors import StepError, UnreachableError
from orchestrator.model.event import Phase
from orchestrator.model.outcome import Completed, Deployed, Outcome
from orchestrator.model.plan import HostPlan, Step
from orchestrator.model.run import Before
from orchestrator.model.state import HostState


async def carry_out(
    work: HostWork,
    stack: AsyncExitStack,
    plan: HostPlan,
    executor: Executor | None,
    state: HostState | None,
) -> Outcome:
    """Go the plan's steps.

    Args:
        work: The host's share of the run.
        stack: Closes the connections that are opened on the way.
        plan: What was decided.
        executor: The way to the host; ``None`` where the goal does not contact it.
        state: What the host said of itself; likewise.

    Raises:
        StepError: A step failed, and the host was not changed.
    """
    work.log(f"plan: {plan.reason}; {', '.join(step.value for step in plan.steps)}")
    if state is not None and plan.goal.changes_host:
        require_return(plan, state)
        refuse_if_taken(work, state)
    if work.session.request.plan_only:
        return _would_be(plan)
    await build(work, plan, executor)
    if executor is None or state is None:
        return await _complete(work, plan, executor)
    await work.session.rollout.turn(work)
    line = Line(work, executor, stack)
    if not plan.goal.changes_host:
        await preflight(work, plan, state, line)
        await deliver(work, plan, line.executor)
        return await _complete(work, plan, line.executor)
    return await change(work, plan, state, line, stack)


async def change(
    work: HostWork, plan: HostPlan, state: HostState, line: Line, stack: AsyncExitStack
) -> Outcome:
    """Change the host, with nobody else at it; nothing is built.

    Raises:
        StepError: A step failed, and the host was not changed.
    """
    async with held(work, line) as holding:
        await preflight(work, plan, state, line)
        await deliver(work, plan, line.executor)
        async with work.session.gates.activations:
            executor, state = await _ask_again(work, stack, line.executor)
            work.before = Before(state.running, state.profile, state.boot_default)
            await holding.last_look()
            outcome = await Activation(work, plan, state, executor, stack).run()
        if isinstance(outcome, Deployed):
            return await reboot(work, plan, outcome, line)
        return outcome


async def _ask_again(
    work: HostWork, stack: AsyncExitStack, executor: Executor
) -> tuple[Executor, HostState]:
    """Record what to return to: since it was asked, a build may have taken an hour."""
    with work.step(Phase.ASK):
        try:
            return executor, await ask_state(executor, work.host)
        except UnreachableError:
            executor = await work.connect(stack)
            return executor, await ask_state(executor, work.host)


def _would_be(plan: HostPlan) -> Outcome:
    if plan.goal.changes_host:
        return Deployed(plan.reason, plan.target.out, plan.goal)
    return Completed(plan.reason, plan.target.out, plan.goal)


async def _complete(work: HostWork, plan: HostPlan, executor: Executor | None) -> Completed:
    reason = plan.goal.achievement
    if Step.DRY_ACTIVATE in plan.steps:
        assert executor is not None
        reason = await _dry_activate(work, plan, executor) or reason
    return Completed(reason, plan.target.out, plan.goal)


async def _dry_activate(work: HostWork, plan: HostPlan, executor: Executor) -> str:
    argv = scripts.script(scripts.ACTIVATE, plan.target.out.path, "dry-activate")
    with work.step(Phase.ACTIVATE):
        done = await executor.run(argv, deadline=work.host.deadlines.activate)
        work.log(f"{done.out}\n{done.err}")
        if done.rc != 0:
            raise StepError(
                f"dry activation failed (exit {done.rc})",
                command=executor.repeat(argv[-2:]),
                stderr=done.err,
            )
    return "; ".join(f"{done.out}\n{done.err}".split("\n")).strip("; ")
