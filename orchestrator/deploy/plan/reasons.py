"""Why a host is left alone or deployed, in words."""

from __future__ import annotations

from datetime import datetime

from orchestrator.changes.model import Fingerprint, Knowledge, Known, Unknown
from orchestrator.core.goal import Goal
from orchestrator.core.state import HostState
from orchestrator.core.store import OutPath
from orchestrator.core.words import ago, listing
from orchestrator.deploy.plan.attempts import left_in_the_middle, unsettled


def why_unchanged(
    goal: Goal, state: HostState, wanted: OutPath, now: datetime, known: Knowledge | None = None
) -> str:
    """Say why there is nothing to do."""
    verb = "boots" if goal is Goal.BOOT else "runs"
    match known:
        case Known(fingerprint):
            reason = f"{why_known(fingerprint, now)}; it {verb} that system"
        case Unknown(changed=(_, *_) as paths):
            already = _already(verb, state, wanted, now)
            reason = f"{listing(paths)} changed, its system did not: {already}"
        case _:
            reason = _already(verb, state, wanted, now)
    if not state.boot_source.is_boot_loader:
        reason += " (no boot loader's default could be read: the profile stands for it)"
    return reason


def why_known(fingerprint: Fingerprint, now: datetime) -> str:
    """Say why no evaluation is needed."""
    since = (
        f"run {fingerprint.run}"
        if fingerprint.run
        else f"it was learned {ago(fingerprint.at, now)}"
    )
    if fingerprint.reads is None:
        return f"no file changed since {since}"
    return f"none of the {fingerprint.files} files that it reads changed since {since}"


def why_changed(
    goal: Goal,
    state: HostState | None,
    wanted: OutPath,
    now: datetime,
    known: Knowledge | None = None,
) -> str:
    """Say why there is something to do."""
    if state is not None and state.attempt is not None and unsettled(state.attempt):
        return left_in_the_middle(state.attempt, now)
    reason = _compared(goal, state, wanted)
    match known:
        case Unknown(changed=(_, *_) as paths):
            return f"{listing(paths)} changed: {reason}"
        case _:
            return reason


def _already(verb: str, state: HostState, wanted: OutPath, now: datetime) -> str:
    reason = f"already {verb} {wanted.short}"
    if state.record is not None and state.record.out_path == wanted:
        reason += f", deployed {ago(state.record.at, now)} by run {state.record.run}"
    return reason


def _compared(goal: Goal, state: HostState | None, wanted: OutPath) -> str:
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
