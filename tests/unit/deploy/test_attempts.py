"""An attempt in words, and how long it may take."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.core.plan import Goal
from orchestrator.core.state import Attempt, AttemptState, HostState
from orchestrator.core.store import OutPath
from orchestrator.core.values import replace
from orchestrator.deploy.plan.attempts import (
    ended_badly,
    fails_as_before,
    goes_on,
    left_in_the_middle,
    returns_within,
    turns_within,
    unsettled,
    untold,
    whose,
)

OLD = OutPath(f"/nix/store/{'d' * 32}-nixos-system-p620-1")
NEW = OutPath(f"/nix/store/{'n' * 32}-nixos-system-p620-2")
NOW = datetime(2024, 5, 6, 12, 3, tzinfo=UTC)
ATTEMPT = Attempt(
    token="12-abcd",
    goal=Goal.SWITCH,
    target=NEW,
    before=HostState("m", OLD, None, OLD, OLD),
    run=12,
    who="me@here",
    revision=None,
    began=datetime(2024, 5, 6, 12, tzinfo=UTC),
    activate_seconds=100,
    confirm_seconds=20,
    health_seconds=50,
)


def in_state(state: AttemptState, left: int | None = None) -> Attempt:
    """Give the attempt in a state."""
    return replace(ATTEMPT, state=state, seconds_left=left)


def test_what_went_wrong_is_told_until_it_is_seen() -> None:
    """Only an end that nobody wanted, and only once."""
    bad = {state for state in AttemptState if untold(in_state(state))}
    assert bad == {AttemptState.RETURNED, AttemptState.STUCK}
    assert not untold(replace(in_state(AttemptState.STUCK), seen=True))
    assert not untold(None)


def test_what_ended_before_it_began_is_called_no_rollback() -> None:
    """An attempt that ended at its beginning changed nothing, and that is what is said of it."""
    untouched = replace(in_state(AttemptState.RETURNED), turned=AttemptState.RECORDED, why="no")
    told = ended_badly(untouched, NOW)
    assert told.endswith("was not carried out; the guard there changed nothing: no")
    later = replace(untouched, turned=AttemptState.ACTIVATING)
    assert "rolled back to" in ended_badly(later, NOW)
    words = goes_on(untouched, within=0, confirmed=False, over=True)
    assert words == "its guard changed nothing"


def test_what_is_not_at_a_good_end_is_not_settled() -> None:
    """Where something goes on, or could not be undone, paths prove nothing."""
    settled = {state for state in AttemptState if not unsettled(in_state(state))}
    assert settled == {AttemptState.DONE, AttemptState.RETURNED}
    assert not unsettled(None)


@pytest.mark.parametrize(
    ("state", "left", "seconds"),
    [
        (AttemptState.RECORDED, None, 120),
        (AttemptState.ACTIVATING, None, 120),
        (AttemptState.WAITING, None, 20),
        (AttemptState.WAITING, 7, 7),
        (AttemptState.CHECKING, None, 50),
        (AttemptState.CHECKING, 0, 0),
        (AttemptState.COMMITTING, None, 100),
        (AttemptState.RETURNING, None, 200),
        (AttemptState.DONE, None, 0),
    ],
)
def test_each_state_lasts_no_longer_than_its_deadline(
    state: AttemptState, left: int | None, seconds: int
) -> None:
    """What the guard tells is left counts before what it had."""
    assert turns_within(in_state(state, left)) == seconds


def test_going_back_takes_an_activation_and_some_time() -> None:
    """The margin is for what boots, for three passes over the way in, and the proof."""
    assert returns_within(ATTEMPT) == ATTEMPT.activate_seconds + 300


@pytest.mark.parametrize("state", [state for state in AttemptState if state.in_flight])
def test_nothing_goes_on_where_the_guard_is_gone(state: AttemptState) -> None:
    """Nobody is told to wait for what nobody does."""
    gone = replace(in_state(state), guard_gone=True)
    words = goes_on(gone, within=12, confirmed=True, over=False)
    assert words == f"its guard is not at work: nothing brings it to {OLD.short} by itself"


@pytest.mark.parametrize("state", list(AttemptState))
def test_what_goes_on_is_said_of_each_state(state: AttemptState) -> None:
    """Each state of an attempt is described in words that claim no more than is known."""
    words = goes_on(in_state(state), within=12.3, confirmed=False, over=False)
    assert words.startswith("its guard ")
    assert (NEW if state in (AttemptState.DONE, AttemptState.COMMITTING) else OLD).short in words
    waits = state.in_flight and state not in (AttemptState.COMMITTING, AttemptState.RETURNING)
    assert ("by itself, within 12 s" in words) == waits


def test_a_deadline_that_has_passed_is_said_to_have() -> None:
    """Nobody is told to wait for 0 s, nor that it is back while it may still be repaired."""
    words = goes_on(in_state(AttemptState.WAITING), within=0, confirmed=False, over=False)
    assert words == f"its guard rolls back to {OLD.short} by itself, and is at it now"
    words = goes_on(in_state(AttemptState.WAITING), within=0, confirmed=False, over=True)
    assert (
        words == f"its guard rolls back to {OLD.short} by itself: if the host runs, it has by now"
    )


def test_a_guard_that_may_have_been_told_to_commit_may_do_either() -> None:
    """A guard whose confirmation may be lost may commit or roll back: nobody claims either."""
    words = goes_on(in_state(AttemptState.CHECKING), within=1, confirmed=True, over=False)
    assert NEW.short in words
    assert OLD.short in words


@pytest.mark.parametrize(
    ("state", "how"),
    [(AttemptState.RETURNED, "rolled back to"), (AttemptState.STUCK, "could not roll back to")],
)
def test_an_end_that_nobody_saw_is_told(state: AttemptState, how: str) -> None:
    """Who, which run, when, how and why."""
    told = ended_badly(replace(in_state(state), why="nobody came"), NOW)
    assert told == (
        "run 12 of me@here, 3 min ago, was not carried out; "
        f"the guard there {how} {OLD.short}: nobody came"
    )
    assert left_in_the_middle(in_state(state), NOW) == ended_badly(in_state(state), NOW)


def test_what_was_left_in_the_middle_is_a_reason() -> None:
    """A plan says whose it is and how far it came."""
    assert whose(ATTEMPT, NOW) == "run 12 of me@here, 3 min ago"
    reason = left_in_the_middle(in_state(AttemptState.CHECKING), NOW)
    assert reason == "run 12 of me@here, 3 min ago, is not at its end: its guard is checking"


def test_a_host_that_ran_nothing_known_is_spoken_of_all_the_same() -> None:
    """Where the path from before cannot be read, no path is invented."""
    attempt = replace(ATTEMPT, before=replace(ATTEMPT.before, running=None))
    assert "rolls back to what it ran" in goes_on(attempt, within=1, confirmed=False, over=False)


@pytest.mark.parametrize(
    ("now", "before", "said"),
    [
        ("'a' failed (1): x|'b' failed (2): |", "'a' failed (1): x|'b' failed (2): |", ""),
        ("'a' failed (1): x|'b' failed (2): |", "", " by name and exit code"),
        (
            "'a' failed (1): no key|'b' failed (2): |",
            "'a' failed (1): no disk|'b' failed (2): |",
            "; 'a' failed (1) says something else: 'no key', and before: 'no disk'",
        ),
        (
            "'a' failed (1): no key|",
            "'a' failed (1): no disk|",
            " by name and exit code; 'a' failed (1) says something else: 'no key', and before: "
            "'no disk'",
        ),
    ],
)
def test_what_fails_as_before_is_compared_by_its_words_too(
    now: str, before: str, said: str
) -> None:
    """The same name and code may stand for another reason: that is said, and never hidden."""
    lists = {"words": now, "words_before": before, "failing": "|'a' failed (1)|'b' failed (2)|"}
    split = {key: tuple(filter(None, text.split("|"))) for key, text in lists.items()}
    attempt = replace(ATTEMPT, **split)  # type: ignore[arg-type]
    text = "activation script snippets: 'a' failed (1), 'b' failed (2), as before"
    assert fails_as_before(attempt) == text + said
