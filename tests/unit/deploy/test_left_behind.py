"""What a deployer that is gone left on a host: finished, undone or told, and then gone on from."""

from __future__ import annotations

import pytest
from fake_host import ELSE, NEW, OLD, Bench, exits, left, turns

from orchestrator.core.errors import StepError
from orchestrator.core.event import Notice
from orchestrator.core.outcome import Deployed, Failed, RolledBack, Unchanged
from orchestrator.core.plan import Goal
from orchestrator.core.store import OutPath

WHO = "run 6 of bob@sofa"


def told(bench: Bench) -> str:
    """All that a person was told meanwhile."""
    return "\n".join(event.text for event in bench.events if isinstance(event, Notice))


@pytest.mark.parametrize("state", ["recorded", "activating", "waiting", "checking", "committing"])
def test_what_is_wanted_is_finished(bench: Bench, state: str) -> None:
    """Over a new connection, proved and verified as every deployment; nothing is done twice."""
    left(bench.host, state)
    outcome = bench.deploy()
    assert isinstance(outcome, Deployed)
    assert f"begun by {WHO}" in outcome.reason
    assert bench.host.state == (NEW, NEW, NEW)
    assert "start" not in bench.host.calls
    assert ("verify" in bench.host.calls) == (state != "committing")
    assert f"{WHO}, " in told(bench)


def test_what_is_finished_may_need_a_boot(bench: Bench) -> None:
    """Somebody else began it; whoever finishes it tells what takes effect at the next boot only."""
    left(bench.host, "checking")
    bench.host.answers["switching"] = b"booted.kernel=/a\ntarget.kernel=/b\nend=\n"
    outcome = bench.deploy()
    assert isinstance(outcome, Deployed)
    assert outcome.warnings == ("reboot required: kernel",)


def test_whether_what_is_finished_needs_a_boot_is_told_as_not_known(bench: Bench) -> None:
    """A host that does not say is deployed all the same."""
    left(bench.host, "checking")
    bench.host.goes_wrong("switching", exits(1))
    assert isinstance(bench.deploy(), Deployed)
    assert "whether it is to be booted is not known" in told(bench)


@pytest.mark.parametrize(
    "state", ["recorded", "activating", "waiting", "checking", "committing", "returning"]
)
def test_what_is_not_wanted_is_brought_to_an_end_first(bench: Bench, state: str) -> None:
    """Undone, or committed where it was too late for that; then the host is deployed as ever."""
    left(bench.host, state, ELSE)
    outcome = bench.deploy()
    assert isinstance(outcome, Deployed)
    assert bench.host.state == (NEW, NEW, NEW)
    assert bench.host.guard.lines["token"] == "7-abcd.p620.00ff"
    assert bench.host.guard.lines["running"] == (ELSE if state == "committing" else OLD).path


def test_another_goal_is_something_else(bench: Bench) -> None:
    """Who only wants to try a system does not commit what somebody else began."""
    left(bench.host, "checking")
    assert isinstance(bench.deploy(Goal.TEST), Deployed)
    assert bench.host.state == (NEW, OLD, OLD)
    assert bench.host.guard.lines["goal"] == "test"


@pytest.mark.parametrize("goal", [Goal.SWITCH, Goal.TEST, Goal.BOOT])
def test_a_host_with_an_attempt_is_never_unchanged_at_first(bench: Bench, goal: Goal) -> None:
    """A host with an attempt is never unchanged until that is settled."""
    bench.target = OLD
    left(bench.host, "waiting", NEW)
    bench.host.running = OLD
    outcome = bench.deploy(goal)
    assert isinstance(outcome, Unchanged)
    assert "back" in bench.host.calls
    assert bench.host.guard.state == "returned"


def test_a_check_that_fails_is_the_hosts_outcome(bench: Bench) -> None:
    """What was left is verified by the same suites: it is not tried once more."""

    def fails() -> None:
        raise StepError("1 check failed")

    left(bench.host, "checking")
    bench.verify = fails
    assert isinstance(bench.deploy(), RolledBack)
    assert bench.host.state == (OLD, OLD, OLD)
    assert "start" not in bench.host.calls


def test_a_guard_that_went_back_by_itself_is_no_failure_of_this_run(bench: Bench) -> None:
    """A guard that rolled back as its deployer was gone fails no later run."""
    left(bench.host, "checking")
    bench.host.goes_wrong("confirm", turns("no confirmation came in time"))
    assert isinstance(bench.deploy(), Deployed)
    assert bench.host.state == (NEW, NEW, NEW)
    assert bench.host.guard.lines["token"] == "7-abcd.p620.00ff"


def test_the_wish_to_stop_while_it_is_undone_begins_nothing_more(bench: Bench) -> None:
    """The host is brought to a proven state first, and that is all."""
    left(bench.host, "waiting", ELSE)
    bench.host.goes_wrong("back", lambda _: bench.interrupt.wish())
    outcome = bench.deploy()
    assert isinstance(outcome, Failed)
    assert "interrupted" in outcome.reason
    assert bench.host.state == (OLD, OLD, OLD)
    assert not {"preflight", "start"} & set(bench.host.calls)
    assert bench.host.locked_by is None


def test_a_way_back_that_fails_ends_the_run_for_this_host(bench: Bench) -> None:
    """Nothing is deployed on top of what nobody knows."""
    left(bench.host, "returning", ELSE)
    bench.host.running = ELSE
    bench.host.goes_wrong("in return", exits(1))
    outcome = bench.deploy()
    assert isinstance(outcome, Failed)
    assert "going back did not end well" in str(outcome.problem.host_state)
    assert "start" not in bench.host.calls


@pytest.mark.parametrize("target", [OLD, NEW])
def test_what_went_wrong_with_nobody_there_is_told_once(bench: Bench, target: OutPath) -> None:
    """Whether there is something to do for the host or not: who, which run, and why."""
    bench.target = target
    left(bench.host, "returned", NEW, why="no new connection came in time", ended="1700000100")
    bench.deploy()
    assert WHO in told(bench)
    assert f"rolled back to {OLD.short}: no new connection came in time" in told(bench)
    bench.events.clear()
    bench.deploy()
    assert WHO not in told(bench)


def test_a_plan_tells_and_leaves_it_to_be_told(bench: Bench) -> None:
    """A plan touches nothing, not even what was seen."""
    bench.target = OLD
    left(bench.host, "returned", NEW)
    bench.deploy(plan_only=True)
    assert WHO in told(bench)
    assert "seen" not in bench.host.calls


def test_a_host_that_is_stuck_is_deployed_again(bench: Bench) -> None:
    """A host that is stuck is deployed again, since not all of its system may run."""
    bench.target = OLD
    left(bench.host, "stuck", NEW, why="switch-to-configuration test: 1")
    outcome = bench.deploy()
    assert isinstance(outcome, Deployed)
    assert bench.host.guard.state == "done"
    assert f"could not roll back to {OLD.short}" in told(bench)
