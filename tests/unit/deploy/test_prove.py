"""Proofs: a host's state against what it should be."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.plan import Goal
from orchestrator.core.state import Attempt, BootSource, HostState
from orchestrator.core.store import OutPath, Specialised
from orchestrator.core.values import replace
from orchestrator.deploy.plan import attempts


def _path(letter: str) -> OutPath:
    return OutPath(f"/nix/store/{letter * 32}-nixos-system-{letter}")


NEW, OLD = _path("n"), _path("d")
paths = st.sampled_from([NEW, OLD, None])
states = st.builds(
    HostState,
    machine_id=st.just("m"),
    running=paths,
    booted=paths,
    profile=paths,
    boot_default=paths,
    failed_units=st.lists(st.sampled_from(["a.service", "b.service", "c.mount"])).map(tuple),
)
BEFORE = HostState("m", OLD, OLD, OLD, OLD)


@given(states)
def test_running_is_what_current_system_says(state: HostState) -> None:
    """A host runs the wanted system exactly where ``/run/current-system`` is it."""
    assert (attempts.runs(state, NEW) is None) is (state.running == NEW)


@given(states)
def test_booting_needs_profile_and_boot_default(state: HostState) -> None:
    """A host boots the wanted system exactly where both agree on it."""
    proved = attempts.boots(state, NEW, BEFORE) is None
    assert proved is (state.profile == NEW and state.boot_default == NEW)


@given(states, states)
def test_back_means_all_three(now: HostState, before: HostState) -> None:
    """A host is back exactly where running system, profile and boot default are as recorded."""
    same = (now.running, now.profile, now.boot_default) == (
        before.running,
        before.profile,
        before.boot_default,
    )
    assert (attempts.is_back(now, before) is None) is same


@given(states)
def test_a_state_is_back_at_itself(state: HostState) -> None:
    """Whatever was recorded, even nothing, is a state to be back at."""
    assert attempts.is_back(state, state) is None


@given(states, states)
def test_newly_failed_units_are_this_deployments(now: HostState, before: HostState) -> None:
    """Units that failed before are not named; the rest are, each once, sorted."""
    failed = attempts.newly_failed(now, before)
    assert list(failed) == sorted(set(now.failed_units) - set(before.failed_units))


def test_a_wrong_end_state_is_told_in_words() -> None:
    """The words name what was looked at, what was found, and what should be."""
    assert attempts.runs(BEFORE, NEW) == f"/run/current-system is {OLD.short}, not {NEW.short}"
    assert (
        attempts.boots(BEFORE, NEW, BEFORE) == f"the system profile is {OLD.short}, not {NEW.short}"
    )
    assert attempts.boots(replace(BEFORE, profile=NEW, boot_default=None), NEW, BEFORE) == (
        f"the boot default is nothing that is known, not {NEW.short}"
    )
    assert attempts.is_back(replace(BEFORE, boot_default=NEW), BEFORE) == (
        f"the boot default is {NEW.short}, and was {OLD.short}"
    )
    assert attempts.is_back(replace(BEFORE, running=None), BEFORE) == (
        f"/run/current-system is nothing that is known, and was {OLD.short}"
    )


def test_a_boot_loader_that_can_no_more_be_read_proves_nothing() -> None:
    """The profile stands for it only where it never could be read."""
    readable = replace(BEFORE, boot_source=BootSource.SYSTEMD_BOOT)
    lost = "the default of systemd-boot could be read before, and no more"
    why = replace(BEFORE, boot_note="GRUB: no entry")
    assert attempts.is_back(why, readable) == f"{lost}: GRUB: no entry"
    assert attempts.boots(BEFORE, OLD, readable) == lost
    assert attempts.is_back(BEFORE, readable) == lost
    assert attempts.boots(readable, OLD, BEFORE) is None
    assert attempts.is_back(readable, BEFORE) is None


def test_a_state_is_put_in_words() -> None:
    """One system is told once; where they differ, all three are."""
    read = replace(BEFORE, boot_source=BootSource.GRUB)
    assert attempts.in_words(read) == f"it runs and will boot {OLD.short}"
    assert attempts.in_words(replace(read, running=NEW)) == (
        f"it runs {NEW.short}, its profile is {OLD.short}, it will boot {OLD.short}"
    )
    assert attempts.in_words(HostState("m", None, None, None, None, BootSource.GRUB)) == (
        "it runs and will boot nothing that is known"
    )


def test_what_boots_is_not_put_in_words_where_it_was_not_read() -> None:
    """The profile stands for it, and is not taken for it."""
    assert attempts.in_words(BEFORE) == (
        f"it runs {OLD.short}, its profile is {OLD.short}, and what it will boot cannot be read"
    )


def attempt_to(goal: Goal) -> Attempt:
    """Give an attempt to change a host."""
    began = datetime(2024, 5, 6, tzinfo=UTC)
    return Attempt("12-abcd", goal, NEW, BEFORE, 12, "me@here", None, began)


@given(states)
def test_each_goal_is_reached_where_it_leads(state: HostState) -> None:
    """A test leaves what boots as it was, a boot leaves what runs."""
    ways = (state.running, state.profile, state.boot_default)
    for goal, reached in (
        (Goal.SWITCH, ways == (NEW, NEW, NEW)),
        (Goal.TEST, ways == (NEW, OLD, OLD)),
        (Goal.BOOT, ways[1:] == (NEW, NEW)),
    ):
        assert (attempts.reached(state, attempt_to(goal)) is None) is reached


def test_a_change_says_from_what_to_what() -> None:
    """The names where they differ; how far it went where that is not all the way."""
    assert attempts.change(attempt_to(Goal.SWITCH)) == f"{OLD.short} → {NEW.short}"
    assert attempts.change(attempt_to(Goal.TEST)).endswith(f": {Goal.TEST.achievement}")
    same = replace(attempt_to(Goal.SWITCH), before=replace(BEFORE, running=NEW))
    assert attempts.change(same) == NEW.short
    older = OutPath(f"/nix/store/{'c' * 32}-{NEW.name}")
    renewed = replace(same, before=replace(BEFORE, running=older))
    assert attempts.change(renewed) == f"{older.digest}… → {NEW.short}"


def test_a_committed_specialisation_is_proved_by_what_runs_and_what_boots() -> None:
    """The specialisation is to run and its system to boot; after a boot, what boots may run."""
    live = _path("g")
    attempt = Attempt(
        "t",
        Goal.SWITCH,
        NEW,
        BEFORE,
        1,
        "me",
        None,
        datetime.now(UTC),
        live=live,
        specialisation="gaming",
    )
    there = HostState("m", live, OLD, NEW, NEW, running_as=(Specialised(NEW, "gaming"),))
    assert attempts.reached(there, attempt) is None
    assert attempts.reached(replace(there, running=NEW), attempt) is not None
    assert attempts.reached(replace(there, running=NEW, boot_id="2"), attempt) is None
    assert attempts.reached(replace(there, running=OLD, boot_id="2"), attempt) is not None
    tried, now = replace(attempt, goal=Goal.TEST), replace(BEFORE, boot_id="2")
    assert attempts.reached(now, tried) is not None
    words = attempts.in_words(replace(there, boot_source=BootSource.GRUB))
    assert words.startswith(f"it runs specialisation 'gaming' of {NEW.short}, its profile is")
    assert ", specialisation 'gaming'" in attempts.change(attempt)
