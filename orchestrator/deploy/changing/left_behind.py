"""What a deployer that is gone left behind on a host: finish it or undo it, and tell of it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import assert_never

from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.guard import AttemptState
from orchestrator.core.outcome import Deployed, Failed, RolledBack
from orchestrator.core.plan import HostPlan, Step
from orchestrator.core.run import Before
from orchestrator.core.state import HostState
from orchestrator.core.token import host_of
from orchestrator.deploy.changing.activation import Activation, WentBackError
from orchestrator.deploy.changing.line import Line
from orchestrator.deploy.changing.verdict import Ended
from orchestrator.deploy.plan.attempts import ended_badly, untold, whose
from orchestrator.deploy.work import HostWork
from orchestrator.host.guard import verbs

_DECIDED = frozenset({AttemptState.RETURNING, AttemptState.COMMITTING})
"""The guard is at the end already: it is waited for."""


async def take_up(work: HostWork, line: Line, plan: HostPlan, state: HostState) -> Ended | None:
    """Bring what is left to its end, while the host's lock is held.

    An attempt that goes on is finished where its target is wanted now, else undone. One that went
    wrong is told.

    Returns:
        The host's outcome where nothing more is to be done, or can be; ``None`` where the host is
        to be asked and decided again.

    Raises:
        InterruptedStepError: A person asked to stop meanwhile: nothing more is begun there.
    """
    attempt = state.attempt
    if attempt is None or not attempt.state.in_flight:
        await tell(work, line.executor, state)
        return None
    who = whose(attempt, datetime.now(UTC))
    work.notice(f"{who}, left it {attempt.state.value}; that is seen to first", warning=True)
    activation = Activation(work, line, attempt, checked=Step.VERIFY in plan.steps)
    ours = host_of(attempt.token) in ("", work.host.name)
    wanted = ours and attempt.target == plan.target.out and attempt.goal is plan.goal
    if wanted or attempt.state in _DECIDED:
        ended = await activation.finish()
    else:
        ended = await activation.take_back("another deployer wants something else there")
    match ended:
        case Deployed(reason=reason) if wanted:
            before = attempt.before
            work.before = Before(before.running, before.profile, before.boot_default)
            return replace(ended, reason=f"{reason}, which was begun by {who}")
        case RolledBack() if wanted and not isinstance(activation.error, WentBackError):
            return ended
        case Deployed() | RolledBack():
            work.session.interrupt.check()
            return None
        case Failed():
            return ended
        case _:
            assert_never(ended)


async def tell(work: HostWork, executor: Executor, state: HostState) -> None:
    """Tell once of an attempt that went wrong while nobody was there to be told."""
    attempt = state.attempt
    if attempt is None or not untold(attempt):
        return
    work.notice(ended_badly(attempt, datetime.now(UTC)), warning=True)
    if not work.session.request.plan_only:
        with contextlib.suppress(StepError):
            if attempt.unreached:
                await verbs.reached(executor, attempt.token, anew=True)
            await verbs.seen(executor, attempt.token)
