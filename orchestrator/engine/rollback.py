"""Take a host back to a system that was built before: one more deployment, without a build."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime

from orchestrator.adapters.host.state import ask_state
from orchestrator.engine.activation import require_return
from orchestrator.engine.carry_out import change
from orchestrator.engine.line import Line
from orchestrator.engine.lock import refuse_if_taken
from orchestrator.engine.work import HostWork, problem_of
from orchestrator.errors import StepError
from orchestrator.model.event import Phase
from orchestrator.model.outcome import Deployed, Failed, Outcome, Problem, Unchanged
from orchestrator.model.store import OutPath
from orchestrator.plan.rollback import plan_back


async def roll_back(work: HostWork, to: OutPath, why: str) -> Outcome:
    """Take a host back within the run that deployed it; its turn is over by then.

    It is a deployment of its own: the same lock, guard, verification, commit and record, with a
    token of its own.

    Args:
        work: The host's share of the run; its lock is released.
        to: What the host ran before; it is still there.
        why: For the outcome's reason.

    Returns:
        ``Deployed`` ("back to …") or ``Unchanged`` where the host runs ``to``, proved and
        committed; anything else says what it runs instead.
    """
    session = replace(work.session, token=f"{work.session.token}-back")
    again = HostWork(session, work.host)
    try:
        with session.interrupt.cancellable():
            return _in_words(await _back(again, to), to, why)
    except StepError as error:
        return Failed(error.message, problem_of(error, "not taken back"))
    except asyncio.CancelledError:
        if not session.interrupt.wished:
            raise
        message = "interrupted before it was taken back"
        return Failed(message, Problem("roll back", message, host_state="not taken back"))


async def _back(work: HostWork, to: OutPath) -> Outcome:
    async with AsyncExitStack() as stack:
        with work.step(Phase.ASK):
            executor = await work.connect(stack)
            state = await ask_state(executor, work.host)
        verify = work.session.request.verify
        plan = plan_back(work.host, to, state, now=datetime.now(UTC), verify=verify)
        if isinstance(plan, Unchanged):
            return plan
        require_return(plan, state)
        refuse_if_taken(work, state)
        return await change(work, plan, state, Line(work, executor, stack), stack)


def _in_words(outcome: Outcome, to: OutPath, why: str) -> Outcome:
    """Say of a host that it is back."""
    if isinstance(outcome, Deployed):
        return replace(outcome, reason=f"back to {to.short}: {why}")
    return outcome
