"""One host's whole way: gather, decide, carry out. It always ends in an outcome."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from orchestrator.changes.knowledge import COLLECTED
from orchestrator.changes.plan import Knowledge, Known, Unknown
from orchestrator.core.errors import StepError
from orchestrator.core.event import Phase, Recalled
from orchestrator.core.executor import Executor
from orchestrator.core.outcome import Failed, Outcome, Skipped, Unchanged
from orchestrator.core.plan import HostPlan
from orchestrator.core.state import HostState
from orchestrator.core.store import Evaluated
from orchestrator.core.together import both
from orchestrator.deploy.identity import recognise
from orchestrator.deploy.plan.attempts import untold
from orchestrator.deploy.plan.decide import decide, why_known
from orchestrator.deploy.unreachable import (
    NoAnswer,
    defer,
    or_no_answer,
    or_unreachable,
    overtaken,
    settle,
)
from orchestrator.deploy.work import HostWork, problem_of
from orchestrator.host.status import ask_state
from orchestrator.nix import verbs as nix
from orchestrator.rollout.rollout import HaltedError

Answer = tuple[Executor | None, HostState | None] | NoAnswer
"""A host's: the way to it and its state, ``None`` where it is not asked."""


async def deploy_host(work: HostWork) -> Outcome:
    """Bring one host to the run's goal. What fails is an outcome; a bug is an exception."""
    try:
        with work.session.interrupt.cancellable():
            async with work.place.among(work.session.gates.hosts), AsyncExitStack() as stack:
                work.began = time.monotonic()
                outcome = await _way(work, stack)
    except HaltedError as error:
        outcome = Skipped(error.message)
    except StepError as error:
        outcome = Failed(error.message, problem_of(error))
    except asyncio.CancelledError:
        if (stopped := _stopped(work)) is None:
            raise
        outcome = stopped
    settle(work, outcome)
    return outcome


def _stopped(work: HostWork) -> Outcome | None:
    """The outcome of a host whose way was cut off on purpose."""
    rollout = work.session.rollout
    if rollout.halted is not None and rollout.is_skipped(work.host.name):
        return Skipped(rollout.skipped)
    if not work.session.interrupt.wished:
        return None
    return work.ended or Skipped(f"interrupted while {work.phase.value}; the host was not changed")


async def _way(work: HostWork, stack: AsyncExitStack) -> Outcome:
    if (back := work.session.request.back) is not None:
        from orchestrator.deploy.changing.rollback import go_back

        return await go_back(work, back, stack)
    (wanted, known), answer = await _gather(work, stack)
    executor, state = (None, None) if isinstance(answer, NoAnswer) else answer
    if (superseded := overtaken(work, state)) is not None:
        return superseded
    plan = _decide(work, wanted, state, known)
    if isinstance(plan, HostPlan) and isinstance(known, Known) and not nix.is_here(wanted.drv):
        wanted = await work.session.known.evaluate(work, work.session.evaluations, COLLECTED)
        plan = _decide(work, wanted, state, known)
    if isinstance(plan, Unchanged):
        return await _unchanged(work, stack, plan, executor, state)
    if plan.goal.changes_host and (work.host.max_risk or work.session.request.plan_only):
        return await _judged(work, stack, plan, answer)
    return await _carried(work, stack, plan, answer)


async def _judged(work: HostWork, stack: AsyncExitStack, plan: HostPlan, answer: Answer) -> Outcome:
    """Refuse what is too much risk before anything is built; tell of it in a plan."""
    from orchestrator.deploy.judging import judge_risk, with_risk

    state = None if isinstance(answer, NoAnswer) else answer[1]
    await judge_risk(work, plan, state)
    return with_risk(work, await _carried(work, stack, plan, answer))


async def _carried(
    work: HostWork, stack: AsyncExitStack, plan: HostPlan, answer: Answer
) -> Outcome:
    if isinstance(answer, NoAnswer):
        return await defer(work, plan, answer)
    executor, state = answer
    # What carries out a plan takes long to import; a host that is at its target does without.
    from orchestrator.deploy.changing.carry_out import carry_out

    carried = await or_unreachable(work, carry_out(work, stack, plan, executor, state))
    return await defer(work, plan, carried) if isinstance(carried, NoAnswer) else carried


async def _unchanged(
    work: HostWork,
    stack: AsyncExitStack,
    unchanged: Unchanged,
    executor: Executor | None,
    state: HostState | None,
) -> Outcome:
    """Tell what went wrong there although nothing is to be done about it, and boot where wanted."""
    if executor is None or state is None:
        return unchanged
    if untold(state.attempt):
        from orchestrator.deploy.changing.carry_out import tell

        await tell(work, executor, state)
    if work.session.request.reboots:
        from orchestrator.deploy.changing.reboot import reboot_unchanged

        return await reboot_unchanged(work, unchanged, state, executor, stack)
    return unchanged


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
        specialise=request.specialisation or work.host.specialisation,
    )


async def _gather(
    work: HostWork, stack: AsyncExitStack
) -> tuple[tuple[Evaluated, Knowledge], Answer]:
    """Ask, at the same time, what should run there and what does."""
    if not work.session.request.goal.contacts_host:
        return await _wanted(work), (None, None)
    return await both(_wanted(work), or_no_answer(work, _ask(work, stack)))


async def _wanted(work: HostWork) -> tuple[Evaluated, Knowledge]:
    """What should run there: given, recalled where nothing changed that counts, else evaluated."""
    given = work.session.request.systems.get(work.host.name)
    if given is not None:
        return given, Unknown("its system is given")

    known = await work.session.known.of(work.host)
    if isinstance(known, Known):
        reason = why_known(known.fingerprint, datetime.now(UTC))
        work.session.emit(Recalled(work.host.name, True, reason))
        return known.fingerprint.evaluated, known
    work.session.emit(Recalled(work.host.name, False, known.reason))
    return await work.session.known.evaluate(work, work.session.evaluations, known.reason), known


async def _ask(work: HostWork, stack: AsyncExitStack) -> tuple[Executor, HostState]:
    async with work.turn(Phase.ASK, work.session.gates.connections):
        executor = await work.connect(stack)
        state = await ask_state(executor, work.host)
        recognise(work, state)
        return executor, state
