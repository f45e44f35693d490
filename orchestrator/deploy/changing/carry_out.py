"""A plan's steps, in their order; what a deployer that is gone left on a host."""

from __future__ import annotations

import contextlib
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import assert_never

from orchestrator.core.commit import DIRTY
from orchestrator.core.errors import StepError
from orchestrator.core.event import Phase
from orchestrator.core.executor import Executor
from orchestrator.core.outcome import Completed, Deployed, Failed, Outcome, RolledBack, Unchanged
from orchestrator.core.plan import HostPlan, Step
from orchestrator.core.run import Before
from orchestrator.core.state import AttemptState, HostState
from orchestrator.core.together import ahead, both
from orchestrator.core.token import host_of
from orchestrator.core.values import replace
from orchestrator.deploy.changing import specialisation
from orchestrator.deploy.changing.activation import (
    Activation,
    WentBackError,
    attempt_of,
    require_return,
    revision_of,
)
from orchestrator.deploy.changing.changed import with_change
from orchestrator.deploy.changing.live import live_or_booted, needing_boot, told
from orchestrator.deploy.changing.load import closure_here
from orchestrator.deploy.changing.lock import held, refuse_if_taken
from orchestrator.deploy.changing.preflight import (
    check_login,
    check_secrets,
    preflight,
)
from orchestrator.deploy.changing.reboot import reboot
from orchestrator.deploy.changing.session import HostSession
from orchestrator.deploy.changing.verdict import Ended
from orchestrator.deploy.delivering.delivery import build, deliver, refuse_one_way, say_or_refuse
from orchestrator.deploy.identity import recognise, set_apart
from orchestrator.deploy.plan.attempts import ended_badly, unsettled, untold, whose
from orchestrator.deploy.plan.decide import is_at, lacks_name, specialised, unchanged
from orchestrator.deploy.unreachable import overtaken
from orchestrator.deploy.work import HostWork
from orchestrator.host.guard import orders
from orchestrator.host.restarts import Counts, ask_restarts
from orchestrator.host.status import ask_state, understood

_DECIDED = frozenset({AttemptState.RETURNING, AttemptState.COMMITTING})
"""The guard is at the end already: it is waited for."""


async def take_up(
    work: HostWork, line: HostSession, plan: HostPlan, state: HostState
) -> Ended | None:
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
    wanted = wanted and plan.specialise.of(attempt.specialisation) == attempt.specialisation
    if wanted or attempt.state in _DECIDED:
        ended = await activation.finish()
    else:
        ended = await activation.take_back("another deployer wants something else there")
    kept = wanted and not isinstance(activation.error, WentBackError)
    match ended:
        case Deployed(reason=reason) if wanted:
            before = attempt.before
            work.before = Before(before.running, before.profile, before.boot_default)
            return replace(ended, reason=f"{reason}, which was begun by {who}")
        case RolledBack() if kept:
            return ended
        case Deployed() | RolledBack():
            work.session.interrupt.check()
            return None
        case Failed() if activation.untouched and not kept:
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
                await orders.reached(executor, attempt.token, anew=True)
            await orders.seen(executor, attempt.token)


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
        if work.session.request.plan_builds:
            await build(work, plan, executor)
        else:
            say_or_refuse(work, plan)
        plan = specialisation.found_here(plan)
        await work.session.all_built.wait(work)
        # What only a plan says takes long to import; a deployment does without.
        from orchestrator.deploy.changing.foretelling import plan_outcome

        return await plan_outcome(work, plan, state, executor)
    await build(work, plan, executor)
    await work.session.all_built.wait(work)
    if executor is None or state is None:
        return await _complete(work, plan, executor, state)
    await work.session.rollout.turn(work)
    line = HostSession(work, executor, stack)
    if not plan.goal.changes_host:
        await preflight(work, plan, state, line)
        await deliver(work, plan, line.executor)
        return await _complete(work, plan, line.executor, state)
    return await change(work, plan, state, line)


async def change(work: HostWork, plan: HostPlan, state: HostState, line: HostSession) -> Outcome:
    """Change the host, with nobody else at it; nothing is built.

    Raises:
        StepError: A step failed, and the host was not changed.
    """
    async with ahead(closure_here(plan.target.out)) as closure, held(work, line) as holding:
        state = _understood(work, holding.said)
        await set_apart(work, state)
        if unsettled(state.attempt) or untold(state.attempt):
            await holding.last_look()
            if (ended := await take_up(work, line, plan, state)) is not None:
                work.ended = ended
                if isinstance(ended, Deployed):
                    ended = await needing_boot(work, ended, plan, line)
                return await _afterwards(work, ended, line)
            state = await _ask_again(work, line)
        if (unchanged := _reached(work, plan, state)) is not None:
            return unchanged
        known = plan = specialised(plan, state)
        specialisation.found_here(plan)  # One that it has not is refused before the copy.
        warnings = await preflight(work, plan, state, line, closure)
        out = plan.target.out
        warnings += await line.ask(lambda executor: refuse_one_way(work, out, executor))
        await deliver(work, plan, line.executor)
        warnings += await check_secrets(work, line)
        plan = await specialisation.find_on(work, plan, line)
        revision = await revision_of(work, plan)
        checkout = await work.session.history.checkout(
            work.session.setup, work.host, (revision or "").removesuffix(DIRTY)
        )
        async with work.session.gates.activations:
            login, going = await both(
                check_login(work, plan, line), live_or_booted(work, plan, line)
            )
            # Services are watched only where what they run is changed now.
            watched = going.plan.goal.activates
            said, restarts = await both(holding.last_look(), _restarts(line, watched=watched))
            # Since it was asked, a build or a copy may have taken an hour.
            state = _understood(work, said)
            if (now := specialised(known, state)) != known:
                going = await live_or_booted(work, now, line)
            warnings += login + specialisation.warn(work, going.plan, state)
            work.before = _before(going.plan, state)
            attempt = attempt_of(work, going.plan, state, revision, checkout)
            await set_apart(work, state)
            checked = Step.VERIFY in going.plan.steps
            activation = Activation(work, line, attempt, checked=checked, before=restarts)
            work.ended = ended = await activation.run()
        if isinstance(ended, Deployed):
            ended = with_change(work, ended, state, going.closure, activation.said)
            ended = specialisation.in_reason(ended)
            warned = (*warnings, *ended.warnings)
            work.ended = ended = replace(ended, warnings=warned, reboot_required=going.boots)
        return await _afterwards(work, ended, line)


async def _ask_again(work: HostWork, line: HostSession) -> HostState:
    """Ask what is there now."""
    with work.step(Phase.ASK):
        state = await line.ask(lambda executor: ask_state(executor, work.host))
        recognise(work, state)
        return state


def _understood(work: HostWork, said: str) -> HostState:
    """Read what a host said of itself in one answer with its lock's."""
    with work.step(Phase.ASK):
        state = understood(said, work.host)
        recognise(work, state)
        return state


async def _restarts(line: HostSession, *, watched: bool) -> Counts | None:
    return await line.ask(ask_restarts) if watched else None


def _reached(work: HostWork, plan: HostPlan, state: HostState) -> Unchanged | None:
    """Find that somebody else has brought the host to its target meanwhile, or to a newer one."""
    if (superseded := overtaken(work, state)) is not None:
        return superseded
    out, name = plan.target.out, plan.specialise.of(state.specialisation)
    anew = work.session.request.force or lacks_name(work.host, plan.goal, state)
    if anew or not is_at(plan.goal, state, out, name):
        return None
    return unchanged(plan.goal, state, out, datetime.now(UTC), specialisation=name)


async def _afterwards(work: HostWork, ended: Ended, line: HostSession) -> Outcome:
    if not isinstance(ended, Deployed):
        return ended
    outcome = await reboot(work, ended, line)
    work.ended = told(outcome) if isinstance(outcome, Deployed) else outcome
    return work.ended


async def _complete(
    work: HostWork, plan: HostPlan, executor: Executor | None, state: HostState | None
) -> Completed:
    reason = plan.goal.achievement
    if Step.DRY_ACTIVATE in plan.steps:
        assert executor is not None
        assert state is not None
        reason = await _dry_activate(work, plan, executor, state) or reason
    return Completed(reason, plan.target.out, plan.goal)


async def _dry_activate(
    work: HostWork, plan: HostPlan, executor: Executor, state: HostState
) -> str:
    with work.step(Phase.ACTIVATE):
        plan = await specialisation.find_there(plan, executor)
        specialisation.warn(work, plan, state)
        argv = (f"{plan.activated}/bin/switch-to-configuration", "dry-activate")
        done = await executor.run(argv, deadline=work.host.deadlines.activate)
        work.log(f"{done.out}\n{done.err}")
        if done.rc != 0:
            raise StepError(
                f"dry activation failed (exit {done.rc})",
                command=executor.repeat(argv),
                stderr=done.err,
            )
    return "; ".join(f"{done.out}\n{done.err}".split("\n")).strip("; ")


def _before(plan: HostPlan, state: HostState) -> Before:
    staged = not plan.goal.activates and state.running_of(plan.target.out) is not None
    return Before(state.running, state.profile, state.boot_default, staged)
