"""Decide what to do with a host: what should run there against what does."""

from __future__ import annotations

from datetime import datetime

from orchestrator.changes.model import Knowledge
from orchestrator.core.goal import Goal
from orchestrator.core.host import Host
from orchestrator.core.outcome import Unchanged
from orchestrator.core.plan import HostPlan, Step
from orchestrator.core.state import HostState
from orchestrator.core.store import OutPath, Target
from orchestrator.deploy.plan.attempts import unsettled
from orchestrator.deploy.plan.reasons import why_changed, why_unchanged


def decide(
    host: Host,
    goal: Goal,
    wanted: Target,
    state: HostState | None,
    *,
    now: datetime,
    known: Knowledge | None = None,
    verify: bool = True,
    force: bool = False,
) -> Unchanged | HostPlan:
    """Compare what should run with what does.

    Args:
        host: The host.
        goal: How far to go.
        wanted: What its configuration evaluates to, or a system that was built before.
        state: What the host says of itself; ``None`` where the goal does not contact it.
        now: For saying how long ago the host was deployed.
        known: What was known before an evaluation: for the reason's words.
        verify: Whether verification is wanted.
        force: Go the whole way although the host is at its target.
    """
    if state is not None and not force and is_at(goal, state, wanted.out):
        return Unchanged(why_unchanged(goal, state, wanted.out, now, known), wanted.out)
    return HostPlan(
        host=host,
        goal=goal,
        target=wanted,
        steps=steps(goal, verify=verify),
        return_to=state.running if state is not None and goal.activates else None,
        reason=why_changed(goal, state, wanted.out, now, known),
    )


def is_at(goal: Goal, state: HostState, wanted: OutPath) -> bool:
    """Whether a host is where a goal leads to, with nothing going on there."""
    if unsettled(state.attempt):
        return False
    match goal:
        case Goal.SWITCH:
            return state.is_at(wanted)
        case Goal.TEST:
            return state.running == wanted
        case Goal.BOOT:
            return state.profile == state.boot_default == wanted
        case Goal.BUILD | Goal.PUSH | Goal.DRY_ACTIVATE:
            return False


def steps(goal: Goal, *, verify: bool = True) -> tuple[Step, ...]:
    """The steps of a goal, in their order."""
    return (
        Step.BUILD,
        *((Step.COPY,) if goal.copies else ()),
        *((Step.DRY_ACTIVATE,) if goal.dry_activates else ()),
        *((Step.ACTIVATE, Step.PROVE) if goal.activates else ()),
        *((Step.VERIFY,) if goal.activates and verify else ()),
        *((Step.COMMIT,) if goal.commits else ()),
    )
