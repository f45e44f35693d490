"""``Unchanged``, or the steps to the goal, and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime

from orchestrator.changes.plan import Fingerprint, Knowledge, Known, Unknown
from orchestrator.core.errors import RefusedError
from orchestrator.core.host import Host
from orchestrator.core.outcome import Unchanged
from orchestrator.core.patterns import pattern
from orchestrator.core.plan import Goal, HostPlan, Step
from orchestrator.core.specialisation import KEEP, Specialise, SpecialisePolicy
from orchestrator.core.state import HostState
from orchestrator.core.store import OutPath, Target
from orchestrator.core.units import ago, listing
from orchestrator.core.values import replace
from orchestrator.deploy.plan.attempts import left_in_the_middle, named, unsettled

_UNITS = pattern(r"^warning: the following units failed: (.+)$", re.MULTILINE)
_JOB = pattern(
    r"^(?:Failed to (?:start|restart|reload|stop) (?!user unit )|Job for )(\S+\.[a-z]+)\b",
    re.MULTILINE,
)
_USER = pattern(r"^warning: (user activation for \S+) failed$", re.MULTILINE)


def to_blame(said: str, before: Iterable[str]) -> tuple[str, ...] | None:
    """Find what failed that did not fail before: a unit, a job, a user's activation.

    Args:
        said: What ``switch-to-configuration`` said.
        before: Units that were failed before it began.

    Returns:
        Their names; none where all that failed is old; ``None`` where it did not say what failed.
    """
    units = {name.strip() for line in _UNITS.findall(said) for name in line.split(",")}
    named = units | set(_JOB.findall(said)) | set(_USER.findall(said))
    return tuple(sorted(named - set(before))) if named else None


def inhibitors(running: Mapping[str, str], target: Mapping[str, str]) -> tuple[str, ...]:
    """Find what keeps ``switch-to-configuration`` from switching live.

    As NixOS compares ``system.switch.inhibitors`` of both systems: a component that only one of
    them names is no reason.

    Args:
        running: A version or the like of each component, of the system that runs.
        target: Likewise of the system to switch to.

    Returns:
        Each with both versions, such as ``dbus-implementation: dbus -> broker``.
    """
    return tuple(
        f"{name}: {old} -> {target[name]}"
        for name, old in running.items()
        if name in target and target[name] != old
    )


PARTS = ("kernel", "initrd", "kernel-modules", "kernel-params", "systemd")
"""What of a system counts from its boot on, by its names in the toplevel."""


def needs_boot(
    booted: Mapping[str, str], target: Mapping[str, str], live: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Find the parts that take effect at the next boot only.

    Args:
        booted: Of the system that the host booted: a path or a text for each of ``PARTS``; what it
            does not have is left out.
        target: Of the system that it is to run.
        live: Of the specialisation of that which it runs; a boot does not bring it.

    Returns:
        Names of parts; none where a boot would change nothing that is wanted.
    """
    if live is not None and not needs_boot(booted, live):
        return ()
    return tuple(part for part in PARTS if booted.get(part) != target.get(part))


def unchanged(
    goal: Goal,
    state: HostState,
    wanted: OutPath,
    now: datetime,
    known: Knowledge | None = None,
    specialisation: str = "",
) -> Unchanged:
    """Say that there is nothing to do, why, and what of it is not sure."""
    doubt = state.boot_warning if goal.commits else ""
    reason = why_unchanged(goal, state, wanted, now, known, specialisation)
    return Unchanged(reason, wanted, (doubt,) if doubt else (), state.specialisation)


def why_unchanged(
    goal: Goal,
    state: HostState,
    wanted: OutPath,
    now: datetime,
    known: Knowledge | None = None,
    specialisation: str = "",
) -> str:
    """Say why there is nothing to do."""
    verb = "boots" if goal is Goal.BOOT else "runs"
    if specialisation and goal is not Goal.BOOT:
        verb += f" specialisation {specialisation!r} of"
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
    if goal is Goal.BOOT and state.is_foreign and state.running != wanted:
        reason += f"; it runs {_foreign(state)}"
    return reason


def why_known(fingerprint: Fingerprint, now: datetime) -> str:
    """Say why no evaluation is needed."""
    since = (
        f"run {fingerprint.run}"
        if fingerprint.run
        else f"it was evaluated {ago(fingerprint.at, now)}"
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
    specialisation: str = "",
) -> str:
    """Say why there is something to do."""
    if state is not None and state.attempt is not None and unsettled(state.attempt):
        return left_in_the_middle(state.attempt, now)
    reason, cause = _compared(goal, state, wanted, specialisation), _cause(state, known)
    return f"{cause}: {reason}" if cause else reason


def _cause(state: HostState | None, known: Knowledge | None) -> str | None:
    """Say which files changed; ``None`` where a host that was left in the middle is the reason."""
    if state is not None and unsettled(state.attempt):
        return None
    match known:
        case Unknown(changed=(_, *_) as paths):
            return f"{listing(paths)} changed"
        case _:
            return ""


def _already(verb: str, state: HostState, wanted: OutPath, now: datetime) -> str:
    reason = f"already {verb} {wanted.short}"
    if state.record is not None and state.record.out_path == wanted:
        reason += f", deployed {ago(state.record.at, now)} by run {state.record.run}"
    return reason


def _compared(goal: Goal, state: HostState | None, wanted: OutPath, specialisation: str) -> str:
    if state is None:
        return f"{wanted.name} is wanted"
    if state.running is None:
        return "it runs no NixOS system"
    if goal is not Goal.BOOT and not state.runs(wanted, specialisation):
        runs = named(state.running, state.running_as)
        of = f"specialisation {specialisation!r} of " if specialisation else ""
        return f"it runs {runs}, wanted is {of}{wanted.short}"
    if state.profile != wanted:
        return f"its profile is {_short(state.profile)}, wanted is {wanted.short}"
    if not state.boots(wanted):
        return f"it boots {_short(state.boot_default)}, wanted is {wanted.short}"
    return "it is at its target, and the deployment is forced"


def _short(path: OutPath | None) -> str:
    return path.short if path is not None else "none"


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
    specialise: SpecialisePolicy = KEEP,
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
        specialise: Which specialisation of its system the host is to run.
    """
    name = "" if state is None else specialise.of(state.specialisation)
    there = state is not None and is_at(goal, state, wanted.out, name)
    unnamed = state is not None and lacks_name(host, goal, state)
    if state is not None and there and not force and not unnamed:
        return unchanged(goal, state, wanted.out, now, known, name)
    reason = why_changed(goal, state, wanted.out, now, known, name)
    plan = HostPlan(
        host=host,
        goal=goal,
        target=wanted,
        steps=steps(goal, verify=verify),
        return_to=state.running if state is not None and goal.activates else None,
        reason=f"it has the system, and is not {host.name} yet" if there and unnamed else reason,
        cause=_cause(state, known),
        specialise=specialise,
    )
    return plan if state is None else specialised(plan, state)


def specialised(plan: HostPlan, state: HostState) -> HostPlan:
    """Say in a plan which specialisation the host is to run, and what is switched away for it.

    Args:
        plan: The plan.
        state: What the host says of itself now.
    """
    if plan.goal is Goal.BOOT and state.is_foreign and state.running != plan.target.out:
        return replace(plan, warnings=(f"until the next boot only it runs {_foreign(state)}",))
    if not (plan.goal.activates or plan.goal.dry_activates):
        return plan
    name, runs = plan.specialise.of(state.specialisation), state.specialisation
    warnings: tuple[str, ...] = ()
    if state.is_foreign and not state.runs(plan.target.out, name):
        warnings = (f"switched away: {_foreign(state)}",)
    if runs and runs != name:
        other = f"specialisation {name!r}" if name else "the system itself"
        warnings += (f"switched away: specialisation {runs!r}, to {other}",)
    return replace(plan, specialisation=name, live=None, warnings=warnings)


def without_specialisation(plan: HostPlan, has: tuple[str, ...]) -> HostPlan:
    """Plan to run a system itself, as it has not the specialisation that the host runs.

    Args:
        plan: The plan.
        has: The specialisations that the system has.

    Raises:
        RefusedError: It was asked for by its name.
    """
    name = plan.specialisation
    if plan.specialise.choice is not Specialise.KEEP:
        there = f"it has {', '.join(has)}" if has else "it has none"
        raise RefusedError(
            f"{plan.target.out.short} has no specialisation {name!r}",
            hint=f"{there}; for the system itself: --specialisation none",
        )
    text = (
        f"it runs specialisation {name!r}, which the new system does not have; "
        "it switches to the system itself"
    )
    return replace(plan, specialisation="", warnings=(*plan.warnings, text))


def _foreign(state: HostState) -> str:
    return f"a system that is not its profile's: {state.running}"


def lacks_name(host: Host, goal: Goal, state: HostState) -> bool:
    """Whether a machine is to be a member of a class and was not deployed as it.

    The system of many equal machines has no name in it: its activation gives each the name as
    which it is deployed. Where it had the system and was to have the name at its next boot, it has
    not got it before that.
    """
    if host.of is None or state.deployed_as != host.name:
        return host.of is not None
    last = state.attempt
    if goal is Goal.BOOT or last is None or last.goal is not Goal.BOOT:
        return False
    waits = last.stands(state.boot_id) and last.before.boot_id == state.boot_id
    return waits and last.before.profile == last.target


def is_at(goal: Goal, state: HostState, wanted: OutPath, specialisation: str = "") -> bool:
    """Whether a host is where a goal leads to, with nothing going on there."""
    if unsettled(state.attempt):
        return False
    match goal:
        case Goal.SWITCH:
            return state.is_at(wanted, specialisation)
        case Goal.TEST:
            return state.runs(wanted, specialisation)
        case Goal.BOOT:
            return state.profile == wanted and state.boots(wanted)
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
