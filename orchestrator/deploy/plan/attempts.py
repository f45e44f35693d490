"""What an attempt means that a host speaks of; whether a host's state is the wanted one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from orchestrator.core.plan import Goal
from orchestrator.core.state import Attempt, AttemptState, HostState
from orchestrator.core.store import OutPath, Specialised
from orchestrator.core.units import ago

RETURN_MARGIN = 300
"""Seconds on top of an activation's for going back: what boots is set, the way in is repaired in
three passes, and all is proved."""

SILENT_MARGIN = 90
"""The same where the host does not answer meanwhile: the next deployment reports how it ended."""


def untold(attempt: Attempt | None) -> bool:
    """Whether an attempt went wrong and no deployer knows of it, or none got in since."""
    if attempt is None or (attempt.seen and not attempt.unreached):
        return False
    return attempt.state in (AttemptState.RETURNED, AttemptState.STUCK)


def unsettled(attempt: Attempt | None) -> bool:
    """Whether it is not known that a host runs well what its paths say."""
    return attempt is not None and (attempt.state.in_flight or attempt.state is AttemptState.STUCK)


def turns_within(attempt: Attempt) -> int:
    """Seconds until the guard goes back, or is done, whatever the deployer does."""
    match attempt.state:
        case AttemptState.RECORDED | AttemptState.ACTIVATING:
            return attempt.activate_seconds + attempt.confirm_seconds
        case AttemptState.WAITING:
            return _first(attempt.seconds_left, attempt.confirm_seconds)
        case AttemptState.CHECKING:
            return _first(attempt.seconds_left, attempt.health_seconds)
        case AttemptState.COMMITTING:
            return attempt.activate_seconds
        case AttemptState.RETURNING:
            return 2 * attempt.activate_seconds
        case _:
            return 0


def returns_within(attempt: Attempt) -> int:
    """Seconds that going back takes at the most."""
    return attempt.activate_seconds + RETURN_MARGIN


def whose(attempt: Attempt, now: datetime) -> str:
    """Say which deployment it is."""
    return f"run {attempt.run} of {attempt.who}, {ago(attempt.began, now)}"


def goes_on(attempt: Attempt, *, within: float, confirmed: bool, over: bool) -> str:
    """Say what the guard does on a host that is left alone.

    Args:
        attempt: As it was last told.
        within: Seconds until it rolls back by itself.
        confirmed: Whether it may have been told to commit.
        over: Whether it must have gone back by now, if the host runs.
    """
    old = _words(attempt.before.running)
    match attempt.state:
        case state if state.in_flight and attempt.guard_gone:
            return f"its guard is not at work: nothing brings it to {old} by itself"
        case AttemptState.DONE:
            return f"its guard is done: {attempt.target.short} is there to stay"
        case AttemptState.RETURNED if attempt.unreached:
            return f"its guard rolled back to {old}, and nobody has got in since"
        case AttemptState.RETURNED if attempt.untouched:
            return "its guard changed nothing"
        case AttemptState.RETURNED:
            return f"its guard rolled back to {old}"
        case AttemptState.STUCK:
            return f"its guard could not roll back to {old}: {attempt.why}"
        case AttemptState.RETURNING:
            return f"its guard is going back to {old}"
        case AttemptState.COMMITTING:
            return f"its guard is making {attempt.target.short} its boot default"
        case _ if confirmed:
            return f"its guard keeps {attempt.target.short}, or rolls back to {old}"
        case _ if within < 1 and not over:
            return f"its guard rolls back to {old} by itself, and is at it now"
        case _ if within < 1:
            return f"its guard rolls back to {old} by itself: if the host runs, it has by now"
        case _:
            return f"its guard rolls back to {old} by itself, within {within:.0f} s"


def ended_badly(attempt: Attempt, now: datetime) -> str:
    """Say of an untold attempt how it ended, to somebody who was not there."""
    old = _words(attempt.before.running)
    stuck = attempt.state is AttemptState.STUCK
    how = f"could not roll back to {old}" if stuck else f"rolled back to {old}"
    how = "changed nothing" if attempt.untouched else how
    why = f": {attempt.why}" if attempt.why else ""
    first = "; nobody had got in since, until now" if attempt.unreached else ""
    return f"{whose(attempt, now)}, was not carried out; the guard there {how}{why}{first}"


def left_in_the_middle(attempt: Attempt, now: datetime) -> str:
    """Say of an attempt that goes on, or could not be undone, that it is there."""
    if attempt.state.in_flight:
        return f"{whose(attempt, now)}, is not at its end: its guard is {attempt.state.value}"
    return ended_badly(attempt, now)


def _first(left: int | None, whole: int) -> int:
    return whole if left is None else min(left, whole)


def _words(path: OutPath | None) -> str:
    return "what it ran" if path is None else path.short


ACCEPTED_EXIT = 4
"""``switch-to-configuration`` ends with 4 where the system is activated and units failed."""

GOES_BACK = "orchestrator: rolling back: "
"""What the guard writes into its log before it rolls back: what follows is the old system's."""


def runs(state: HostState, wanted: OutPath) -> str | None:
    """Why the host does not run ``wanted``, or ``None`` where it does."""
    if state.running == wanted:
        return None
    return f"/run/current-system is {_difference(state.running)}, not {wanted.short}"


def boots(state: HostState, wanted: OutPath, before: HostState) -> str | None:
    """Why the host's profile and boot default are not ``wanted``, or ``None`` where both are."""
    if unread := _unread(state, before):
        return unread
    if state.profile != wanted:
        return f"the system profile is {_difference(state.profile)}, not {wanted.short}"
    if not state.boots(wanted):
        return f"the boot default is {_difference(state.boot_default)}, not {wanted.short}"
    return None


def reached(state: HostState, attempt: Attempt) -> str | None:
    """Why the host is not where a committed attempt should have led, or ``None`` where it is."""
    before = attempt.before
    wrong = runs(state, attempt.activated) if attempt.goal.activates else None
    booted = attempt.goal.commits and before.boot_id != state.boot_id
    if booted and state.running == state.boot_default:
        wrong = None  # A boot runs what boots, and no specialisation that was switched to.
    boot = (
        boots(state, attempt.target, before)
        if attempt.goal.commits
        else _boots_as_before(state, before)
    )
    return wrong or boot


def is_back(now: HostState, before: HostState) -> str | None:
    """Why the host is not back at the state it was in, or ``None`` where it is."""
    if now.running != before.running:
        is_now, was = _difference(now.running), _difference(before.running)
        return f"/run/current-system is {is_now}, and was {was}"
    return _boots_as_before(now, before)


def _boots_as_before(now: HostState, before: HostState) -> str | None:
    if unread := _unread(now, before):
        return unread
    for what, found, recorded in (
        ("the system profile", now.profile, before.profile),
        ("the boot default", now.boot_default, before.boot_default),
    ):
        if found != recorded:
            return f"{what} is {_difference(found)}, and was {_difference(recorded)}"
    return None


def change(attempt: Attempt) -> str:
    """Say what a committed attempt changed; a switch needs no word on how far it went."""
    limits = "" if attempt.goal is Goal.SWITCH else f": {attempt.goal.achievement}"
    before, target = attempt.before.running, attempt.target
    if attempt.specialisation:
        limits = f", specialisation {attempt.specialisation!r}{limits}"
    if before is None or before == target:
        return f"{target.short}{limits}"
    was = f"{before.digest}…" if before.name == target.name else before.short
    return f"{was} → {target.short}{limits}"


def fails_as_before(attempt: Attempt) -> str:
    """Say which snippets of the activation script failed, as they did before; empty: none."""
    if not attempt.failing:
        return ""
    now, before = _by_snippet(attempt.words), _by_snippet(attempt.words_before)
    known = all(each in now and each in before for each in attempt.failing)
    text = f"activation script snippets: {', '.join(attempt.failing)}, as before"
    if not known:
        text += " by name and exit code"
    others = [each for each in attempt.failing if each in now and each in before]
    return text + "".join(
        f"; {each} says something else: {now[each]!r}, and before: {before[each]!r}"
        for each in others
        if now[each] != before[each]
    )


def _by_snippet(words: Iterable[str]) -> dict[str, str]:
    found = (re.fullmatch(r"('.*' failed \([0-9]+\)): (.*)", each) for each in words)
    return {match[1]: match[2] for match in found if match}


def _unread(now: HostState, before: HostState) -> str | None:
    """The profile stands for a boot loader's default only where that never could be read."""
    if before.boot_source.is_boot_loader and not now.boot_source.is_boot_loader:
        lost = f"the default of {before.boot_source.value} could be read before, and no more"
        return f"{lost}: {now.boot_note}" if now.boot_note else lost
    return None


def newly_failed(now: HostState, before: HostState) -> tuple[str, ...]:
    """Units that fail now and did not before: the others are not this deployment's fault."""
    return tuple(sorted(set(now.failed_units) - set(before.failed_units)))


def in_words(state: HostState) -> str:
    """What the host runs and what it will boot."""
    runs, profile = named(state.running, state.running_as), _difference(state.profile)
    if not state.boot_source.is_boot_loader:
        return f"it runs {runs}, its profile is {profile}, and what it will boot cannot be read"
    if state.running == state.profile == state.boot_default:
        return f"it runs and will boot {runs}"
    boots = named(state.boot_default, state.booting_as)
    return f"it runs {runs}, its profile is {profile}, it will boot {boots}"


def named(path: OutPath | None, variants: tuple[Specialised, ...]) -> str:
    """Name a system for a person: as a specialisation of another, where it is one."""
    if variants:
        return f"specialisation {variants[0].name!r} of {variants[0].system.short}"
    return _difference(path)


def _difference(path: OutPath | None) -> str:
    return path.short if path is not None else "nothing that is known"
