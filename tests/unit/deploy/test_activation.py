"""Activation against a fake host: the target or the recorded state, and the report is so."""

from __future__ import annotations

from collections.abc import Callable

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
    floods,
    left,
    loses_connection,
    passes_deadline,
    refuses_login,
    then,
    turns,
    vanishes,
)

from orchestrator.core.errors import RefusedError, StepError, UnreachableError
from orchestrator.core.event import LogLine, Notice, Phase, PhaseStarted
from orchestrator.core.host import Guard, NewlyFailed
from orchestrator.core.outcome import Completed, Deployed, Failed, RolledBack, Skipped, Unchanged
from orchestrator.core.plan import Goal
from orchestrator.core.process import CommandResult

ALL_OLD, ALL_NEW = (OLD, OLD, OLD), (NEW, NEW, NEW)


def set_running(path: object) -> Callable[[FakeHost], None]:
    """Give a change of the running system."""
    return lambda host: setattr(host, "running", path)


def set_profile(path: object) -> Callable[[FakeHost], None]:
    """Give a change of the profile."""
    return lambda host: setattr(host, "profile", path)


def test_switch_ends_at_the_target(bench: Bench) -> None:
    """Running system, profile and boot default are the target; the host bears a record of it."""
    outcome = bench.deploy()
    assert isinstance(outcome, Deployed)
    assert (outcome.out_path, outcome.goal, outcome.warnings) == (NEW, Goal.SWITCH, ())
    assert bench.host.state == ALL_NEW
    assert bench.host.record is not None
    assert {key: bench.host.record[key] for key in ("run", "who", "revision", "target")} == {
        "run": "7",
        "who": "me@here",
        "revision": "abc",
        "target": NEW.path,
    }
    assert bench.host.guard.state == "done"
    assert bench.delivered == ["build", "copy"]


@pytest.mark.parametrize(
    ("goal", "state"),
    [
        (Goal.TEST, (NEW, OLD, OLD)),
        (Goal.BOOT, (OLD, NEW, NEW)),
        (Goal.SWITCH, ALL_NEW),
        (Goal.PUSH, ALL_OLD),
    ],
)
def test_a_goal_goes_as_far_as_it_says(
    bench: Bench, goal: Goal, state: tuple[object, object, object]
) -> None:
    """Each goal changes what it is about and nothing else; a second time there is nothing to do."""
    assert isinstance(bench.deploy(goal), Deployed if goal.changes_host else Completed)
    assert bench.host.state == state
    if goal.changes_host:
        again = bench.deploy(goal)
        assert isinstance(again, Unchanged)
        assert bench.host.state == state


def test_build_contacts_no_host(bench: Bench) -> None:
    """A build needs no host, be it off."""
    bench.host.reachable = False
    assert isinstance(bench.deploy(Goal.BUILD), Completed)
    assert bench.host.calls == ["build"]


def test_a_plan_touches_nothing(bench: Bench) -> None:
    """A plan asks and says; it neither builds nor changes anything."""
    outcome = bench.deploy(plan_only=True)
    assert isinstance(outcome, Deployed)
    assert "it runs" in outcome.reason
    assert bench.host.calls == ["connect", "state"]
    assert bench.host.state == ALL_OLD


@pytest.mark.parametrize("missing", ["running", "profile"])
def test_without_a_way_back_nothing_is_changed(bench: Bench, missing: str) -> None:
    """A host that has nothing to roll back to is refused, untouched."""
    setattr(bench.host, missing, None)
    outcome = bench.deploy()
    assert isinstance(outcome, Failed)
    assert outcome.problem.refused
    assert "start" not in bench.host.calls


def test_steps_come_in_their_order(bench: Bench) -> None:
    """Nothing is activated before it is copied, nothing committed before it is verified."""
    bench.deploy()
    assert [call for call in bench.host.calls if call != "await"] == [
        *("connect", "state", "build", "state", "copy", "state", "start", "in activate"),
        *("connect", "contact", "verify", "state", "confirm", "in commit"),
    ]


def test_the_contact_is_made_over_a_new_connection(bench: Bench) -> None:
    """The connection from before would not notice that nobody can log in any more."""
    bench.deploy()
    calls = bench.host.calls
    assert calls.index("in activate") < calls.index("connect", 1) < calls.index("contact")


def test_exit_4_is_a_warning(bench: Bench) -> None:
    """A system that is activated though units failed is deployed, and a person is told."""
    bench.host.goes_wrong("in activate", then(set_running(NEW), rc=4))
    outcome = bench.deploy()
    assert isinstance(outcome, Deployed)
    assert outcome.warnings == ("activation ended with exit 4: units failed; the log names them",)
    assert bench.host.state == ALL_NEW
    assert any(isinstance(event, Notice) and event.warning for event in bench.events)


def test_units_that_failed_before_are_not_held_against_it(bench: Bench) -> None:
    """Only units that fail since this deployment are told."""

    def breaks(host: FakeHost) -> None:
        host.running, host.failed = NEW, ("old.service", "new.service")

    bench.host.failed = ("old.service",)
    bench.host.goes_wrong("in activate", then(breaks))
    outcome = bench.deploy()
    assert isinstance(outcome, Deployed)
    assert outcome.warnings == ("units that fail now and did not before: new.service",)


def test_of_many_units_that_fail_twenty_are_named(bench: Bench) -> None:
    """A message stays one that can be read, and says how many there are beyond it."""

    def breaks(host: FakeHost) -> None:
        host.running, host.failed = NEW, tuple(f"unit{number:03}.service" for number in range(50))

    bench.host.goes_wrong("in activate", then(breaks))
    outcome = bench.deploy()
    assert isinstance(outcome, Deployed)
    (warning,) = outcome.warnings
    assert warning.endswith("unit019.service and 30 more")


FAULTS: dict[str, tuple[str, Fault, str]] = {
    "activation fails": ("in activate", exits(1, "boom"), "activate"),
    "activation fails halfway": ("in activate", then(set_running(NEW), rc=2), "activate"),
    "activation is killed": ("in activate", exits(-1), "activate"),
    "activation is killed halfway": ("in activate", then(set_running(NEW), rc=-1), "activate"),
    "activation lies": ("in activate", exits(0), "prove"),
    "activation exits 4 and lies": ("in activate", exits(4), "prove"),
    "activation ends elsewhere": ("in activate", then(set_running(ELSE)), "prove"),
    "the guard turns at its deadline": ("contact", turns("nobody came"), "prove"),
    "the guard turns while it is verified": ("confirm", turns("no word came"), "commit"),
    "commit fails": ("in commit", exits(1), "commit"),
    "commit fails halfway": ("in commit", then(set_profile(NEW), rc=1), "commit"),
    "commit is killed halfway": ("in commit", then(set_profile(NEW), rc=-1), "commit"),
    "commit lies": ("in commit", then(set_profile(NEW)), "commit"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_brings_the_host_back(bench: Bench, fault: str) -> None:
    """Whatever one step does, the host ends at its recorded state, and the step is named."""
    name, what, step = FAULTS[fault]
    bench.host.goes_wrong(name, what)
    outcome = bench.deploy()
    assert isinstance(outcome, RolledBack)
    assert outcome.problem.step == step
    assert outcome.problem.host_state == f"it runs and will boot {OLD.short}, as before"
    assert bench.host.state == ALL_OLD
    assert bench.host.record is None


@pytest.mark.parametrize("policy", list(NewlyFailed))
def test_the_inventory_says_what_newly_failed_units_lead_to(
    bench: Bench, policy: NewlyFailed
) -> None:
    """Newly failed units are reported or roll the host back; those failed before do not."""

    def breaks(host: FakeHost) -> None:
        host.running, host.failed = NEW, ("old.service", "new.service")

    bench.guard = Guard(failed_units=policy)
    bench.host.failed = ("old.service",)
    bench.host.goes_wrong("in activate", then(breaks))
    outcome = bench.deploy()
    if policy is NewlyFailed.REPORT:
        assert isinstance(outcome, Deployed)
    else:
        assert isinstance(outcome, RolledBack)
        assert outcome.reason == "units that fail now and did not before: new.service"
        assert bench.host.state == ALL_OLD


def test_a_unit_that_fails_while_it_is_verified_counts_too(bench: Bench) -> None:
    """What is confirmed is what the host is then, not what it was before it was verified."""
    bench.guard = Guard(failed_units=NewlyFailed.ROLL_BACK)
    bench.verify = lambda: setattr(bench.host, "failed", ("slow.service",))
    assert isinstance(bench.deploy(), RolledBack)
    assert bench.host.state == ALL_OLD


def test_a_failed_check_brings_the_host_back(bench: Bench) -> None:
    """A host whose verification fails is rolled back, and the new system is not committed."""

    def fails() -> None:
        raise StepError("1 check failed")

    bench.verify = fails
    outcome = bench.deploy()
    assert isinstance(outcome, RolledBack)
    assert bench.host.state == ALL_OLD
    assert "in commit" not in bench.host.calls


def test_verification_can_be_left_out(bench: Bench) -> None:
    """Without verification the end state of the host is proved all the same."""
    assert isinstance(bench.deploy(verify=False), Deployed)
    assert "verify" not in bench.host.calls
    assert PhaseStarted("p620", Phase.PROVE) in bench.events


def test_the_unit_outlives_the_connection(bench: Bench) -> None:
    """A connection that is lost while activation goes on is made again, and the work goes on."""
    bench.host.goes_wrong("await", loses_connection, loses_connection)
    bench.host.goes_wrong("connect", None, loses_connection)
    assert isinstance(bench.deploy(), Deployed)
    assert bench.host.state == ALL_NEW
    assert bench.host.calls.count("in activate") == 1


def test_nobody_can_log_in_any_more(bench: Bench) -> None:
    """A system that locks the deployer out is rolled back over the connection still open."""
    host = bench.host

    def locks_out(host: FakeHost) -> None:
        host.running = NEW
        host.faults["connect"] = [refuses_login] * 100

    def lets_in(host: FakeHost) -> None:
        host.running = OLD
        host.faults["connect"] = []

    host.goes_wrong("in activate", then(locks_out))
    host.goes_wrong("in return", then(lets_in))
    outcome = bench.deploy()
    assert isinstance(outcome, RolledBack)
    assert outcome.problem.message == (
        "cannot reconnect after activation: me@192.0.2.1 refused the login"
    )
    assert host.state == ALL_OLD


def refuses_root(_: FakeHost) -> CommandResult | None:
    """The host's sudo refuses the user, whichever connection it is over."""
    raise RefusedError("root is needed there and sudo asks for a password")


def sudo_is_lost(host: FakeHost) -> None:
    """Run the new system, whose sudo refuses the deployer until the old one runs."""
    host.running = NEW
    for verb in ("contact", "back", "await"):
        host.faults[verb] = [refuses_root] * 1000

    def is_back(host: FakeHost) -> CommandResult | None:
        for verb in ("contact", "back", "await"):
            host.faults[verb] = []
        host.running = OLD
        return None

    host.goes_wrong("passed on", lambda host: is_back(host))


def test_a_new_system_whose_sudo_refuses_is_left_by_the_word_of_a_kept_process(
    bench: Bench,
) -> None:
    """Neither connection can become root any more: a process of root's from before passes it on."""
    bench.host.goes_wrong("in activate", then(sudo_is_lost))
    outcome = bench.deploy()
    assert isinstance(outcome, RolledBack), outcome
    assert bench.host.guard.lines["why"] == (
        "cannot reconnect after activation: root is needed there and sudo asks for a password"
    )
    assert bench.host.calls.count("passed on") == 1
    assert bench.host.calls.count("back") == 1
    assert bench.host.state == ALL_OLD


def test_without_a_kept_process_the_word_goes_over_the_connections(bench: Bench) -> None:
    """A host that keeps none is deployed, and rolled back once it can be told, all the same."""

    def fails() -> None:
        raise StepError("1 check failed")

    bench.host.goes_wrong("keep root", refuses_root, refuses_root)
    assert isinstance(bench.deploy(Goal.TEST), Deployed)
    bench.host.running = OLD
    bench.verify = fails
    bench.host.goes_wrong("back", refuses_root)
    assert isinstance(bench.deploy(), RolledBack)
    assert "passed on" not in bench.host.calls
    assert bench.host.calls.count("back") == 2
    assert bench.host.state == ALL_OLD


def test_what_ended_before_it_touched_the_host_is_no_rollback(bench: Bench) -> None:
    """A check before the switch, or somebody else's lock: failed, and the host was not changed."""

    def leaves_it(host: FakeHost) -> CommandResult:
        host.guard.lines |= {
            "state": "returned",
            "turned": "recorded",
            "why": "pre-switch check 'never' failed",
        }
        return CommandResult(1, b"", b"Pre-switch checks failed")

    bench.host.goes_wrong("in activate", leaves_it)
    outcome = bench.deploy()
    assert isinstance(outcome, Failed)
    assert outcome.reason == "pre-switch check 'never' failed"
    assert outcome.problem.step == "activate"
    assert outcome.problem.host_state == f"it runs and will boot {OLD.short}; it was not changed"
    assert not outcome.problem.lost
    assert bench.host.state == ALL_OLD


def test_what_is_waited_for_is_said(bench: Bench) -> None:
    """Somebody else's switch is waited for on the host: a person is told whose, once."""
    waiting = "waiting: process 7 (nixos-rebuild) has locked /run/nixos/switch.lock"

    def waits(host: FakeHost) -> CommandResult | None:
        host.guard.lines["why"] = waiting
        return host.guard.say("seen", host.guard.lines["token"])

    def goes_on(host: FakeHost) -> CommandResult | None:
        host.guard.lines["why"] = ""
        return None

    bench.host.goes_wrong("await", waits, waits, goes_on)
    outcome = bench.deploy()
    assert isinstance(outcome, Deployed), outcome
    notices = [event.text for event in bench.events if isinstance(event, Notice)]
    assert notices.count(waiting) == 1
    assert outcome.warnings == ()


@pytest.mark.parametrize("goes_well", [True, False])
def test_what_failed_before_is_a_warning_whichever_system_runs(
    bench: Bench, goes_well: bool
) -> None:
    """A snippet that the guard knows to have failed before is named, and is no failure."""

    def ends(host: FakeHost) -> CommandResult | None:
        host.guard.lines["failing"] = "|'always' failed (1)|'ever' failed (2)|"
        return None

    def fails() -> None:
        raise StepError("1 check failed")

    if not goes_well:
        bench.verify = fails
    bench.host.goes_wrong("in commit" if goes_well else "in return", ends)
    outcome = bench.deploy()
    said = (
        "activation script snippets: 'always' failed (1), 'ever' failed (2), as before by name "
        "and exit code"
    )
    if goes_well:
        assert isinstance(outcome, Deployed)
        assert outcome.warnings == (said,)
    else:
        assert isinstance(outcome, RolledBack)
        assert outcome.problem.host_state == (
            f"it runs and will boot {OLD.short}, as before; {said}"
        )


def test_the_state_to_return_to_is_the_last_before_activation(bench: Bench) -> None:
    """What another deployer did while this one built is what a failed activation returns to."""

    def another(host: FakeHost) -> None:
        host.running = host.profile = host.boot_default = ELSE

    bench.host.goes_wrong("copy", another)
    bench.host.goes_wrong("in activate", then(set_running(NEW), rc=2))
    assert isinstance(bench.deploy(), RolledBack)
    assert bench.host.state == (ELSE, ELSE, ELSE)


def test_a_connection_that_was_lost_while_building_is_made_anew(bench: Bench) -> None:
    """A build may take an hour; the host may have booted since."""
    bench.host.goes_wrong("state", None, loses_connection)
    assert isinstance(bench.deploy(), Deployed)


def test_a_connection_lost_after_the_commit_takes_nothing_back(bench: Bench) -> None:
    """The host is at its target: it is asked again over a new connection."""
    bench.host.goes_wrong("state", *[None] * 5, loses_connection)
    assert isinstance(bench.deploy(), Deployed)
    assert bench.host.state == ALL_NEW


def test_a_boot_loader_that_is_lost_in_the_commit_is_no_proof(bench: Bench) -> None:
    """The profile stands for a default that never could be read, not for one that got lost."""

    def loses(host: FakeHost) -> None:
        host.profile, host.boot_source = NEW, "profile"

    bench.host.goes_wrong("in commit", then(loses))
    outcome = bench.deploy()
    assert isinstance(outcome, Failed)
    assert "the default of systemd-boot could be read before, and no more" in (
        outcome.problem.message + str(outcome.problem.host_state)
    )


def test_a_failed_evaluation_is_an_outcome(bench: Bench) -> None:
    """A configuration that does not evaluate fails its host, untouched."""

    def fails() -> None:
        raise StepError("evaluation failed: attribute 'a' missing")

    bench.evaluate = fails
    outcome = bench.deploy()
    assert isinstance(outcome, Failed)
    assert outcome.problem.step == "evaluate"
    assert "start" not in bench.host.calls


def test_a_host_that_does_not_answer_is_an_outcome(bench: Bench) -> None:
    """Nothing is built for a host that is not there."""
    bench.host.reachable = False
    outcome = bench.deploy()
    assert not isinstance(outcome, Deployed | Unchanged)
    assert bench.delivered == []


@pytest.mark.parametrize("step", ["build", "copy"])
def test_a_failed_delivery_changes_nothing(bench: Bench, step: str) -> None:
    """What fails before activation fails, with nothing to roll back."""

    def fails(_: FakeHost) -> None:
        raise StepError(f"{step} failed")

    bench.host.goes_wrong(step, fails)
    outcome = bench.deploy()
    assert isinstance(outcome, Failed)
    assert outcome.problem.step == step
    assert bench.host.state == ALL_OLD
    assert "start" not in bench.host.calls


def test_a_shell_that_prints_into_the_copy_is_named(bench: Bench) -> None:
    """Nix says "protocol mismatch" and a shell's greeting; the hint says what to do about it."""

    def fails(_: FakeHost) -> None:
        raise StepError("copy failed", stderr="error: protocol mismatch, got 'Welcome'")

    bench.host.goes_wrong("copy", fails)
    outcome = bench.deploy()
    assert isinstance(outcome, Failed)
    assert "login shell prints text" in str(outcome.problem.hint)


def test_a_bug_takes_the_host_back_and_is_raised(bench: Bench) -> None:
    """What nobody foresaw is no outcome: the host rolls back first, then the bug comes out."""

    def bug() -> None:
        raise ZeroDivisionError

    bench.verify = bug
    with pytest.raises(ZeroDivisionError):
        bench.deploy()
    assert bench.host.state == ALL_OLD


def test_a_bug_goes_before_a_failure(bench: Bench) -> None:
    """Where asking fails and evaluating meets a bug at once, the bug is not hidden."""

    def bug() -> None:
        raise ZeroDivisionError

    bench.evaluate = bug
    with pytest.raises(ZeroDivisionError):
        bench.deploy()


def test_the_wish_to_stop_before_activation_changes_nothing(bench: Bench) -> None:
    """A host that is not being changed is left at once."""

    def stop(_: FakeHost) -> None:
        bench.interrupt.wish()

    bench.host.goes_wrong("build", stop)
    outcome = bench.deploy()
    assert isinstance(outcome, Skipped)
    assert outcome.reason.startswith("interrupted while ")
    assert outcome.reason.endswith("; the host was not changed")
    assert bench.host.state == ALL_OLD


def test_the_wish_to_stop_during_activation_takes_the_host_back(bench: Bench) -> None:
    """A host that is being changed comes to a proven state first."""

    def stop(host: FakeHost) -> None:
        host.running = NEW
        bench.interrupt.wish()

    bench.host.goes_wrong("in activate", then(stop))
    outcome = bench.deploy()
    assert isinstance(outcome, RolledBack)
    assert outcome.problem.message == "interrupted before it was verified and committed"
    assert bench.host.state == ALL_OLD


def test_the_wish_to_stop_during_commit_comes_too_late(bench: Bench) -> None:
    """What is being committed was verified: it is finished and proved."""

    def stop(host: FakeHost) -> None:
        host.profile = host.boot_default = NEW
        bench.interrupt.wish()

    bench.host.goes_wrong("in commit", then(stop))
    assert isinstance(bench.deploy(), Deployed)
    assert bench.host.state == ALL_NEW


def test_the_wish_to_stop_after_the_commit_hides_nothing(bench: Bench) -> None:
    """Who stops while the lock is released is told that the host was deployed."""
    bench.host.goes_wrong("release", lambda _: bench.interrupt.wish())
    assert isinstance(bench.deploy(), Deployed)
    assert bench.host.state == ALL_NEW


def test_the_wish_to_stop_after_a_way_back_hides_nothing(bench: Bench) -> None:
    """An interrupt after a roll-back leaves the host reported as rolled back, not untouched."""
    bench.host.goes_wrong("in activate", exits(1))
    bench.host.goes_wrong("release", lambda _: bench.interrupt.wish())
    assert isinstance(bench.deploy(), RolledBack)


def test_the_second_wish_says_what_goes_on_there(bench: Bench) -> None:
    """Who will not wait is told what the guard does alone, and by when."""

    def stop(host: FakeHost) -> None:
        host.running = NEW
        bench.interrupt.wish()
        bench.interrupt.wish()

    bench.host.goes_wrong("in activate", then(stop))
    outcome = bench.deploy()
    assert isinstance(outcome, Failed)
    assert outcome.problem.host_state is not None
    assert f"its guard rolls back to {OLD.short} by itself, within " in outcome.problem.host_state
    assert "/run/orchestrator/attempt" in str(outcome.problem.command)


def test_a_host_that_is_gone_is_not_claimed_to_be_anywhere(bench: Bench) -> None:
    """Where nobody answers after activation, the report says what is not known and goes on."""
    bench.host.goes_wrong("in activate", then(vanishes))  # type: ignore[arg-type]
    outcome = bench.deploy()
    assert isinstance(outcome, Failed)
    assert outcome.problem.host_state is not None
    assert outcome.problem.host_state.startswith("not known (")
    assert f"its guard rolls back to {OLD.short} by itself" in outcome.problem.host_state


def test_a_host_that_answers_again_is_asked_what_became_of_it(bench: Bench) -> None:
    """The guard went back alone while nobody could reach the host: that is waited for and told."""

    def returns_later(host: FakeHost) -> None:
        host.guard.turn("no contact within 180 s")
        host.faults["connect"] = [loses_connection] * 200

    bench.host.goes_wrong("contact", loses_connection)
    bench.host.goes_wrong("in activate", then(lambda host: setattr(host, "running", NEW)))
    bench.host.goes_wrong("connect", None, then(returns_later, rc=1))
    outcome = bench.deploy()
    assert isinstance(outcome, RolledBack)
    assert bench.host.state == ALL_OLD


def test_a_guard_that_goes_back_ends_the_verification(bench: Bench) -> None:
    """Nobody waits for checks of a host that is at its old system again."""
    bench.verify_seconds = 1e6
    bench.verify = lambda: bench.host.goes_wrong("await", None, turns("the host was booted"))
    outcome = bench.deploy()
    assert isinstance(outcome, RolledBack)
    assert outcome.problem.message == "the host was booted"
    assert bench.host.state == ALL_OLD


def test_a_host_that_is_lost_ends_the_verification(bench: Bench) -> None:
    """Verification ends when the host is lost, after the time that its guard may take."""
    bench.verify_seconds = 1e6
    bench.verify = lambda: setattr(bench.host, "reachable", False)
    outcome = bench.deploy()
    assert isinstance(outcome, Failed)
    assert str(outcome.problem.host_state).startswith("not known (")


def test_a_long_verification_is_watched_and_ends_well(bench: Bench) -> None:
    """During a long verification the guard is asked again and again, and the host is deployed."""
    bench.verify_seconds = 100.0
    assert isinstance(bench.deploy(), Deployed)
    assert bench.host.calls.count("await") > 20


def test_another_deployment_in_its_place_is_told(bench: Bench) -> None:
    """Where a deployer was cut off for so long that another one took over, nothing is claimed."""

    def another(host: FakeHost) -> None:
        host.guard.lines |= {"token": "8-else", "run": "8", "who": "bob@sofa"}

    bench.host.goes_wrong("confirm", another)
    outcome = bench.deploy()
    assert isinstance(outcome, Failed)
    assert "another deployment took its place: run 8 of bob@sofa" in str(outcome.problem.host_state)
    assert bench.host.guard.lines["token"] == "8-else"


def test_the_attempt_before_is_not_taken_for_another_deployment(bench: Bench) -> None:
    """Where the guard never began, what is found is what was there before."""

    def stop(_: FakeHost) -> None:
        bench.interrupt.wish()
        raise UnreachableError("the connection was lost")

    left(bench.host, "done", OLD)
    bench.host.goes_wrong("start", stop)
    outcome = bench.deploy()
    assert isinstance(outcome, RolledBack)
    assert outcome.problem.host_state == f"it runs and will boot {OLD.short}, as before"


def test_a_host_that_forgot_its_deployment_lets_people_in(bench: Bench) -> None:
    """The words do not blame the new system's network."""
    bench.host.goes_wrong("contact", lambda host: host.guard.lines.clear())
    outcome = bench.deploy()
    assert isinstance(outcome, Failed)
    assert outcome.problem.message == "the host knows nothing of this deployment any more"


def test_a_host_that_forgot_all_of_it_is_where_its_state_says(bench: Bench) -> None:
    """A power cut on a full disk: nothing goes on there, and what it runs is proof."""

    def forgets(host: FakeHost) -> CommandResult | None:
        host.guard.lines.clear()
        host.running = host.boot_default
        raise UnreachableError("the connection was lost")

    bench.host.goes_wrong("confirm", forgets)
    outcome = bench.deploy()
    assert isinstance(outcome, RolledBack)
    assert bench.host.state == ALL_OLD


def test_a_login_that_can_do_nothing_is_no_contact(bench: Bench) -> None:
    """Logging in is not enough: the word must reach the guard, else it rolls back."""
    bench.host.goes_wrong("contact", *[exits(127)] * 1000)
    outcome = bench.deploy()
    assert isinstance(outcome, RolledBack)
    assert outcome.problem.step == "prove"
    assert bench.host.state == ALL_OLD


def test_a_login_that_can_do_nothing_for_a_moment_is_a_contact(bench: Bench) -> None:
    """Activation may be replacing sudo at this very moment."""
    bench.host.goes_wrong("contact", exits(127), loses_connection)
    assert isinstance(bench.deploy(), Deployed)


def test_a_power_cut_is_a_way_back(bench: Bench) -> None:
    """A host that booted while it was verified is at its old system, and that is told."""
    bench.host.goes_wrong("confirm", boots)
    outcome = bench.deploy()
    assert isinstance(outcome, RolledBack)
    assert "the host was booted" in outcome.reason
    assert bench.host.state == ALL_OLD


def test_a_way_back_that_fails_is_told(bench: Bench) -> None:
    """Where the host could not be brought back, the report says where it really is."""
    bench.host.goes_wrong("in activate", then(set_running(ELSE), rc=1))
    bench.host.goes_wrong("in return", exits(1))
    outcome = bench.deploy()
    assert isinstance(outcome, Failed)
    assert outcome.problem.host_state is not None
    assert outcome.problem.host_state.startswith(
        f"it runs {ELSE.short}, its profile is {OLD.short}, it will boot {OLD.short}; "
        "going back did not end well"
    )


def test_the_guards_word_is_no_proof(bench: Bench) -> None:
    """A guard that says that it is done, and is not, makes no deployment."""
    bench.host.guard.proves = False
    bench.host.goes_wrong("in commit", then(set_profile(NEW)))
    outcome = bench.deploy()
    assert isinstance(outcome, Failed)
    assert f"the boot default is {OLD.short}, not {NEW.short}" in str(outcome.problem.host_state)


def test_a_guard_that_says_that_it_went_back_is_no_proof(bench: Bench) -> None:
    """A guard's word that it rolled the host back is no proof: what it runs is read."""
    bench.host.guard.proves = False
    bench.host.goes_wrong("in activate", then(set_running(ELSE), rc=1))
    bench.host.goes_wrong("in return", then(set_running(NEW)))
    outcome = bench.deploy()
    assert isinstance(outcome, Failed)
    assert f"/run/current-system is {NEW.short}, and was {OLD.short}" in str(
        outcome.problem.host_state
    )


def test_a_refused_start_changes_nothing(bench: Bench) -> None:
    """Where the guard says that it does not begin, nobody rolls back or asks any further."""
    bench.host.goes_wrong("start", lambda _: CommandResult(65, b"", b"another is in flight"))
    outcome = bench.deploy()
    assert isinstance(outcome, Failed)
    assert outcome.problem.message == (
        "its guard did not begin; the host was not changed: "
        "the host could not start the guard: another is in flight"
    )
    assert outcome.problem.host_state is None
    assert not {"back", "await"} & set(bench.host.calls)


def test_a_start_that_takes_too_long_may_have_begun(bench: Bench) -> None:
    """A host that hangs for a minute is asked, and not taken for untouched."""
    bench.host.goes_wrong("start", begins_late)
    assert isinstance(bench.deploy(), Deployed)
    assert bench.host.state == ALL_NEW


def test_what_activation_says_is_logged_as_it_comes(bench: Bench) -> None:
    """Each line once, over however many connections."""
    bench.host.goes_wrong("await", None, None, loses_connection)
    bench.deploy()
    said = [event.text for event in bench.events if isinstance(event, LogLine)]
    assert said.count("activated") == 1


def test_a_host_that_is_slow_to_come_back_is_waited_for(bench: Bench) -> None:
    """Activation may restart the network: the first refused connection proves nothing."""
    bench.host.goes_wrong("connect", None, loses_connection, loses_connection)
    assert isinstance(bench.deploy(), Deployed)
    assert bench.host.state == ALL_NEW


@pytest.mark.parametrize(
    ("fault", "least", "most"), [(floods, 50, 250), (passes_deadline, 1000, 5000)]
)
def test_a_host_that_floods_is_asked_less_and_less_often(
    bench: Bench, fault: Fault, least: int, most: int
) -> None:
    """Each answer costs megabytes, and its guard may need long; others are asked on."""
    bench.host.goes_wrong("await", *[fault] * 5000)
    assert isinstance(bench.deploy(), Failed)
    assert least <= bench.host.calls.count("await") <= most


def test_a_session_that_lost_its_group_is_left_for_a_new_one(bench: Bench) -> None:
    """What the new system took from the user is back, and only a new login has it."""

    def asks_for_a_password(host: FakeHost) -> None:
        if host.guard.state and host.opened < 3:
            raise RefusedError("root is needed there and sudo asks for a password")

    bench.host.goes_wrong("in activate", exits(1))
    for step in ("await", "back", "reached", "state"):
        bench.host.goes_wrong(step, *[asks_for_a_password] * 1000)
    assert isinstance(bench.deploy(), RolledBack)
    assert bench.host.state == ALL_OLD


def test_a_host_that_is_somebody_elses_is_refused_before_the_build(bench: Bench) -> None:
    """Nobody waits for a build that cannot be deployed."""
    bench.host.locked_by = "9-ffff"
    outcome = bench.deploy()
    assert isinstance(outcome, Failed)
    assert "another deployment is at it" in outcome.problem.message
    assert bench.delivered == []
