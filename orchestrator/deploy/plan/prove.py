"""Hold a host's state against what it should be: the end state counts, not the exit code."""

from __future__ import annotations

from orchestrator.core.goal import Goal
from orchestrator.core.guard import Attempt
from orchestrator.core.state import HostState
from orchestrator.core.store import OutPath

ACCEPTED_EXIT = 4
"""``switch-to-configuration`` ends with 4 where the system is activated and units failed."""


def runs(state: HostState, wanted: OutPath) -> str | None:
    """Why the host does not run ``wanted``, or ``None`` where it does."""
    if state.running == wanted:
        return None
    return f"/run/current-system is {_words(state.running)}, not {wanted.short}"


def boots(state: HostState, wanted: OutPath, before: HostState) -> str | None:
    """Why the host's profile and boot default are not ``wanted``, or ``None`` where both are."""
    if unread := _unread(state, before):
        return unread
    if state.profile != wanted:
        return f"the system profile is {_words(state.profile)}, not {wanted.short}"
    if state.boot_default != wanted:
        return f"the boot default is {_words(state.boot_default)}, not {wanted.short}"
    return None


def reached(state: HostState, attempt: Attempt) -> str | None:
    """Why the host is not where a committed attempt should have led, or ``None`` where it is."""
    before = attempt.before
    wrong = runs(state, attempt.target) if attempt.goal.activates else None
    boot = (
        boots(state, attempt.target, before)
        if attempt.goal.commits
        else _boots_as_before(state, before)
    )
    return wrong or boot


def is_back(now: HostState, before: HostState) -> str | None:
    """Why the host is not back at the state it was in, or ``None`` where it is."""
    if now.running != before.running:
        return f"/run/current-system is {_words(now.running)}, and was {_words(before.running)}"
    return _boots_as_before(now, before)


def _boots_as_before(now: HostState, before: HostState) -> str | None:
    if unread := _unread(now, before):
        return unread
    for what, found, recorded in (
        ("the system profile", now.profile, before.profile),
        ("the boot default", now.boot_default, before.boot_default),
    ):
        if found != recorded:
            return f"{what} is {_words(found)}, and was {_words(recorded)}"
    return None


def change(attempt: Attempt) -> str:
    """Say what a committed attempt changed; a switch needs no word on how far it went."""
    limits = "" if attempt.goal is Goal.SWITCH else f": {attempt.goal.achievement}"
    before, target = attempt.before.running, attempt.target
    if before is None or before == target:
        return f"{target.short}{limits}"
    was = f"{before.digest}…" if before.name == target.name else before.short
    return f"{was} → {target.short}{limits}"


def _unread(now: HostState, before: HostState) -> str | None:
    """The profile stands for a boot loader's default only where that never could be read."""
    if before.boot_source.is_boot_loader and not now.boot_source.is_boot_loader:
        return f"the default of {before.boot_source.value} could be read before, and no more"
    return None


def newly_failed(now: HostState, before: HostState) -> tuple[str, ...]:
    """Units that fail now and did not before: the others are not this deployment's fault."""
    return tuple(sorted(set(now.failed_units) - set(before.failed_units)))


def in_words(state: HostState) -> str:
    """What the host runs and what it will boot."""
    if state.running == state.profile == state.boot_default:
        return f"it runs and will boot {_words(state.running)}"
    return (
        f"it runs {_words(state.running)}, its profile is {_words(state.profile)}, "
        f"it will boot {_words(state.boot_default)}"
    )


def _words(path: OutPath | None) -> str:
    return path.short if path is not None else "nothing that is known"
