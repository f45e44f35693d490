"""Whatever goes wrong, however often: no report that is not so."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_host import (
    ELSE,
    NEW,
    OLD,
    Bench,
    FakeHost,
    Fault,
    begins_late,
    boots,
    exits,
    left,
    loses_connection,
    passes_deadline,
    refuses_login,
    then,
    turns,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.core.errors import StepError
from orchestrator.core.outcome import Deployed, Failed, Outcome, RolledBack, Unchanged
from orchestrator.core.plan import Goal
from orchestrator.core.state import BootSource, HostState
from orchestrator.core.store import OutPath
from orchestrator.deploy.plan import attempts


def runs_else(host: FakeHost) -> None:
    """Another system runs."""
    host.running = ELSE


def runs_new(host: FakeHost) -> None:
    """The new system runs."""
    host.running = NEW


def half_new(host: FakeHost) -> None:
    """The profile is the new system, and nothing else is."""
    host.profile = NEW


ANY_FAULT: dict[str, list[Fault | None]] = {
    "connect": [None, loses_connection, refuses_login],
    "state": [None, loses_connection, exits(1), passes_deadline],
    "start": [None, loses_connection, exits(1), begins_late],
    "await": [None, loses_connection, passes_deadline, exits(143), turns("late"), boots],
    "contact": [None, loses_connection, exits(143), turns("late"), boots],
    "confirm": [None, loses_connection, exits(143), turns("late"), boots],
    "back": [None, loses_connection, exits(143), turns("late"), boots],
    "seen": [None, loses_connection, exits(143)],
    "in activate": [None, exits(0), exits(1), then(runs_new, rc=4), exits(-1), exits(4)],
    "in commit": [None, exits(0), exits(1), then(half_new, rc=1), then(half_new), exits(-1)],
    "in return": [None, exits(0), exits(1), exits(-1), then(runs_else, rc=0)],
}
faulty = st.fixed_dictionaries(
    {name: st.lists(st.sampled_from(kinds), max_size=3) for name, kinds in ANY_FAULT.items()}
)
goals = st.sampled_from([Goal.SWITCH, Goal.TEST, Goal.BOOT])
states = st.sampled_from(
    ["recorded", "activating", "waiting", "checking", "committing", "returning", "stuck"]
)
many = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None
)
TOKEN = "7-abcd.p620.00ff"
Faults = dict[str, list[Fault | None]]


def deployed(
    folder: Path, faults: Faults, goal: Goal, verified: bool, *found: tuple[str, OutPath]
) -> tuple[Outcome, FakeHost]:
    """Deploy a host on which these faults happen, and say what came of it."""

    def check() -> None:
        if not verified:
            raise StepError("1 check failed")

    with pytest.MonkeyPatch.context() as patch:
        bench = Bench(patch, folder)
        for state, target in found:
            left(bench.host, state, target)
        bench.host.faults = faults
        bench.verify = check
        return bench.deploy(goal), bench.host


def is_so(outcome: Outcome, host: FakeHost, goal: Goal, before: OutPath = OLD) -> None:
    """Hold a report against the host."""
    source = BootSource(host.boot_source)
    state = HostState("m", host.running, None, host.profile, host.boot_default, source)
    words = attempts.in_words(state)
    match outcome:
        case Deployed():
            assert host.running == (NEW if goal.activates else before)
            assert {host.profile, host.boot_default} == {NEW if goal.commits else before}
        case Unchanged():
            assert goal is not Goal.SWITCH or host.state == (NEW, NEW, NEW)
        case RolledBack(problem=problem):
            assert host.state == (before, before, before)
            assert str(problem.host_state).startswith(f"{words}, as before")
        case Failed(problem=problem) if problem.host_state is not None:
            unknown = problem.host_state.startswith("not known (")
            assert unknown or problem.host_state.startswith(words)
        case Failed():
            assert host.guard.lines.get("token") != TOKEN
        case _:
            raise AssertionError(outcome)


@given(faulty, goals, st.booleans())
@many
def test_no_sequence_of_faults_makes_a_report_that_is_not_so(
    tmp_path: Path, faults: Faults, goal: Goal, verified: bool
) -> None:
    """Deployed is deployed, rolled back is rolled back, and what is not known is not claimed."""
    outcome, host = deployed(tmp_path, faults, goal, verified)
    is_so(outcome, host, goal)
    if isinstance(outcome, Failed):
        assert bool(host.guard.state) == (outcome.problem.host_state is not None)


@given(faulty, goals, st.booleans(), states, st.sampled_from([NEW, ELSE]))
@many
def test_what_was_left_makes_no_report_that_is_not_so(
    tmp_path: Path, faults: Faults, goal: Goal, verified: bool, state: str, target: OutPath
) -> None:
    """Whatever another deployer left there, and whatever goes wrong with taking it up."""
    outcome, host = deployed(tmp_path, faults, goal, verified, (state, target))
    # What was committed meanwhile is what there was before.
    committed = host.guard.lines["token"] != "6-dead" and host.guard.lines["running"]
    is_so(outcome, host, goal, OutPath(committed) if committed else OLD)
