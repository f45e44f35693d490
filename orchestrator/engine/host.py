"""One host's whole way: gather, decide, deliver, activate. It always ends in an outcome."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from orchestrator.adapters import nix
from orchestrator.adapters.executor import Executor
from orchestrator.adapters.host import scripts
from orchestrator.adapters.host.state import ask_state
from orchestrator.engine.activation import Activation, require_return
from orchestrator.engine.delivery import deliver
from orchestrator.engine.work import HostWork, problem_of
from orchestrator.errors import StepError, UnreachableError
from orchestrator.model.event import Phase, Progress, Recalled
from orchestrator.model.fingerprint import Knowledge, Known
from orchestrator.model.outcome import (
    Completed,
    Deployed,
    Failed,
    Outcome,
    Skipped,
    Unchanged,
)
from orchestrator.model.plan import HostPlan, Step
from orchestrator.model.state import HostState
from orchestrator.model.store import Evaluated
from orchestrator.plan.decide import decide
from orchestrator.plan.reasons import why_known


async def deploy_host(work: HostWork) -> Outcome:
    """Bring one host to the run's goal. What fails is an outcome; a bug is an exception."""
    try:
        with work.session.interrupt.cancellable():
            async with work.session.gates.hosts, AsyncExitStack() as stack:
                work.began = time.monotonic()
                return await _way(work, stack)
    except StepError as error:
        return Failed(error.message, problem_of(error))
    except asyncio.CancelledError:
        if not work.session.interrupt.wished:
            raise
        return Skipped(f"interrupted while {work.phase.value}; the host was not changed")


async def _way(work: HostWork, stack: AsyncExitStack) -> Outcome:
    request = work.session.request
    (wanted, known), executor, state = await _gather(work, stack)
    plan = _decide(work, wanted, state, known)
    if isinstance(plan, HostPlan) and isinstance(known, Known) and not nix.is_here(wanted.drv):
        wanted = await _evaluate(work, "its derivation was collected as garbage")
        plan = _decide(work, wanted, state, known)
    if isinstance(plan, Unchanged):
        return plan
    work.log(f"plan: {plan.reason}; {', '.join(step.value for step in plan.steps)}")
    if state is not None and plan.goal.changes_host:
        require_return(plan, state)
    if request.plan_only:
        return _would_be(plan)
    await deliver(work, plan, executor)
    if not plan.goal.changes_host:
        return await _complete(work, plan, executor)
    assert executor is not None
    assert state is not None
    async with work.session.gates.activations:
        executor, state = await _ask_again(work, stack, executor)
        return await Activation(work, plan, state, executor, stack).run()


def _decide(
    work: HostWork, wanted: Evaluated, state: HostState | None, known: Knowledge
) -> Unchanged | HostPlan:
    request = work.session.request
    return decide(
        work.host,
        request.goal,
        wanted,
        state,
        now=datetime.now(UTC),
        known=known,
        verify=request.verify,
        force=request.force,
    )


async def _gather(
    work: HostWork, stack: AsyncExitStack
) -> tuple[tuple[Evaluated, Knowledge], Executor | None, HostState | None]:
    """Ask, at the same time, what should run there and what does."""
    if not work.session.request.goal.contacts_host:
        return await _wanted(work), None, None
    try:
        async with asyncio.TaskGroup() as group:
            wanted = group.create_task(_wanted(work))
            answer = group.create_task(_ask(work, stack))
    except BaseExceptionGroup as errors:
        # Both may fail; the first is enough to stop this host, and a bug goes before either.
        raise min(errors.exceptions, key=lambda error: isinstance(error, StepError)) from None
    return wanted.result(), *answer.result()


async def _wanted(work: HostWork) -> tuple[Evaluated, Knowledge]:
    """What should run there: recalled where nothing changed that counts, else evaluated."""
    known = await work.session.known.of(work.host)
    if isinstance(known, Known):
        reason = why_known(known.fingerprint, datetime.now(UTC))
        work.session.emit(Recalled(work.host.name, True, reason))
        return known.fingerprint.evaluated, known
    work.session.emit(Recalled(work.host.name, False, known.reason))
    return await _evaluate(work, known.reason), known


async def _evaluate(work: HostWork, why: str) -> Evaluated:
    async with work.turn(Phase.EVALUATE, work.session.gates.evaluations):
        work.session.emit(Progress(work.host.name, why))
        evaluated = await nix.evaluate(
            work.session.setup.flake,
            work.host.attr,
            deadline=work.host.deadlines.evaluate,
            on_stderr=work.on_nix_line,
        )
    work.session.known.taught(work.host, evaluated)
    return evaluated


async def _ask(work: HostWork, stack: AsyncExitStack) -> tuple[Executor, HostState]:
    async with work.turn(Phase.ASK, work.session.gates.connections):
        executor = await work.connect(stack)
        return executor, await ask_state(executor, work.host)


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
