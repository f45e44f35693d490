"""Decide what to do with a host: what should run there against what does."""

from __future__ import annotations

from datetime import datetime

from orchestrator.model.goal import Goal
from orchestrator.model.host import Host
from orchestrator.model.outcome import Unchanged
from orchestrator.model.plan import HostPlan, Step
from orchestrator.model.state import HostState
from orchestrator.model.store import Evaluated, OutPath
from orchestrator.model.words import ago


def decide(
    host: Host,
    goal: Goal,
    wanted: Evaluated,
    state: HostState | None,
    *,
    now: datetime,
    verify: bool = True,
    force: bool = False,
) -> Unchanged | HostPlan:
    """Compare what should run with what does.

    Args:
        host: The host.
        goal: How far to go.
        wanted: What its configuration evaluates to.
        state: What the host says of itself; ``None`` where the goal does not contact it.
        now: For saying how long ago the host was deployed.
        verify: Whether verification is wanted.
        force: Go the whole way although the host is at its target.
    """
    if state is not None and not force and _is_at(goal, state, wanted.out):
        return Unchanged(reason=_unchanged(goal, state, wanted.out, now), out_path=wanted.out)
    return HostPlan(
        host=host,
        goal=goal,
        target=wanted,
        steps=steps(goal, verify=verify),
        return_to=state.running if state is not None and goal.activates else None,
        reason=_why(goal, state, wanted.out),
    )


def _is_at(goal: Goal, state: HostState, wanted: OutPath) -> bool:
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


def _unchanged(goal: Goal, state: HostState, wanted: OutPath, now: datetime) -> str:
    verb = "already boots" if goal is Goal.BOOT else "already runs"
    reason = f"{verb} {wanted.short}"
    if state.record is not None and state.record.out_path == wanted:
        reason += f", deployed {ago(state.record.at, now)} by run {state.record.run}"
    if not state.boot_source.is_boot_loader:
        reason += " (no boot loader's default could be read: the profile stands for it)"
    return reason


def _why(goal: Goal, state: HostState | None, wanted: OutPath) -> str:
    """Say why there is something to do, in words."""
    if state is None:
        return f"{wanted.name} is wanted"
    if state.running is None:
        return "it runs no NixOS system"
    if goal is not Goal.BOOT and state.running != wanted:
        return f"it runs {state.running.short}, wanted is {wanted.short}"
    if state.profile != wanted:
        return f"its profile is {_short(state.profile)}, wanted is {wanted.short}"
    if state.boot_default != wanted:
        return f"it boots {_short(state.boot_default)}, wanted is {wanted.short}"
    return "it is at its target, and the deployment is forced"


def _short(path: OutPath | None) -> str:
    return path.short if path is not None else "none"
