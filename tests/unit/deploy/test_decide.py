"""The decision for one host: what should run there against what does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.errors import RefusedError
from orchestrator.core.event import HostFinished
from orchestrator.core.host import Connect, Host
from orchestrator.core.outcome import Unchanged
from orchestrator.core.plan import Goal, HostPlan, Step
from orchestrator.core.specialisation import KEEP, SpecialisePolicy
from orchestrator.core.state import Attempt, AttemptState, BootSource, HostState, Record
from orchestrator.core.store import DrvPath, Evaluated, OutPath, Specialised
from orchestrator.core.values import replace
from orchestrator.deploy.plan.decide import decide, specialised, steps, without_specialisation
from orchestrator.render.event_json import to_json

NOW = datetime(2024, 5, 6, tzinfo=UTC)
HOST = Host("p620", "p620", Connect("192.0.2.1"))


def _path(letter: str) -> OutPath:
    return OutPath(f"/nix/store/{letter * 32}-nixos-system-{letter}")


NEW, OLD, OTHER = _path("n"), _path("d"), _path("x")
WANTED = Evaluated(DrvPath(f"{NEW}.drv"), NEW)

paths = st.sampled_from([NEW, OLD, OTHER, None])
records = st.none() | st.builds(
    Record,
    run=st.integers(1, 99),
    who=st.just("me@here"),
    revision=st.none(),
    out_path=st.sampled_from([NEW, OLD]),
    at=st.just(NOW - timedelta(hours=3)),
)
states = st.builds(
    HostState,
    machine_id=st.just("m"),
    running=paths,
    booted=paths,
    profile=paths,
    boot_default=paths,
    boot_source=st.sampled_from(BootSource),
    record=records,
)
goals = st.sampled_from(Goal)
AT_TARGET = HostState("m", NEW, NEW, NEW, NEW, BootSource.GRUB)


def _decide(
    goal: Goal, state: HostState | None, *, verify: bool = True, force: bool = False
) -> Unchanged | HostPlan:
    return decide(HOST, goal, WANTED, state, now=NOW, verify=verify, force=force)


def _plan(
    goal: Goal, state: HostState | None, *, verify: bool = True, force: bool = False
) -> HostPlan:
    plan = _decide(goal, state, verify=verify, force=force)
    assert isinstance(plan, HostPlan)
    return plan


def _needed(goal: Goal, state: HostState) -> bool:
    """Whether anything that the goal is about differs from what is wanted."""
    runs, boots = state.running == NEW, (state.profile, state.boot_default) == (NEW, NEW)
    match goal:
        case Goal.SWITCH:
            return not (runs and boots)
        case Goal.TEST:
            return not runs
        case Goal.BOOT:
            return not boots
        case _:
            return True


@given(goals, states, st.booleans())
def test_unchanged_exactly_where_the_host_is_at_its_target(
    goal: Goal, state: HostState, verify: bool
) -> None:
    """A host is unchanged if and only if all that the goal is about is as wanted."""
    decided = _decide(goal, state, verify=verify)
    assert isinstance(decided, Unchanged) is not _needed(goal, state)
    if isinstance(decided, Unchanged):
        assert decided.out_path == NEW
        assert NEW.short in decided.reason


@given(goals, st.none() | states)
def test_force_always_goes_the_whole_way(goal: Goal, state: HostState | None) -> None:
    """A forced deployment is a plan with all of the goal's steps, wherever the host is."""
    assert _plan(goal, state, force=True).steps == steps(goal)


@given(goals, st.none() | states, st.booleans(), st.booleans())
def test_a_plan_says_what_it_does(
    goal: Goal, state: HostState | None, verify: bool, force: bool
) -> None:
    """A plan bears its host, goal and target, its reason, and where to roll back to."""
    plan = _decide(goal, state, verify=verify, force=force)
    if isinstance(plan, Unchanged):
        return
    assert (plan.host, plan.goal, plan.target) == (HOST, goal, WANTED)
    assert plan.steps == steps(goal, verify=verify)
    assert plan.reason
    expected = state.running if state is not None and goal.activates else None
    assert plan.return_to == expected


@given(goals, st.booleans())
def test_steps_come_in_their_order(goal: Goal, verify: bool) -> None:
    """Everything is built first; what changes the host for good comes last, after every proof."""
    done = steps(goal, verify=verify)
    assert list(done) == [step for step in Step if step in done]
    assert done[0] is Step.BUILD
    assert (Step.COPY in done) is goal.copies
    assert (Step.ACTIVATE in done) is (Step.PROVE in done) is goal.activates
    assert (Step.COMMIT in done) is goal.commits
    assert (Step.DRY_ACTIVATE in done) is goal.dry_activates


@given(goals)
def test_verification_alone_can_be_left_out(goal: Goal) -> None:
    """Without verification a goal has the same steps but one, and still proves its end state."""
    bare = tuple(step for step in steps(goal) if step is not Step.VERIFY)
    assert steps(goal, verify=False) == bare
    assert (Step.VERIFY in steps(goal)) is goal.activates


@pytest.mark.parametrize(
    ("goal", "state", "reason"),
    [
        (Goal.BUILD, None, "nixos-system-n is wanted"),
        (Goal.SWITCH, replace(AT_TARGET, running=None), "it runs no NixOS system"),
        (
            Goal.SWITCH,
            replace(AT_TARGET, running=OLD),
            f"it runs {OLD.short}, wanted is {NEW.short}",
        ),
        (
            Goal.SWITCH,
            replace(AT_TARGET, profile=OLD),
            f"its profile is {OLD.short}, wanted is {NEW.short}",
        ),
        (
            Goal.SWITCH,
            replace(AT_TARGET, profile=None),
            f"its profile is none, wanted is {NEW.short}",
        ),
        (
            Goal.SWITCH,
            replace(AT_TARGET, boot_default=OLD),
            f"it boots {OLD.short}, wanted is {NEW.short}",
        ),
        (
            Goal.BOOT,
            replace(AT_TARGET, running=OLD, boot_default=None),
            f"it boots none, wanted is {NEW.short}",
        ),
    ],
)
def test_the_reason_names_what_differs(goal: Goal, state: HostState | None, reason: str) -> None:
    """A person reads what is there and what is wanted."""
    assert _plan(goal, state).reason == reason


def test_a_forced_plan_says_so() -> None:
    """Where nothing differs, the reason is that it is forced."""
    assert _plan(Goal.SWITCH, AT_TARGET, force=True).reason == (
        "it is at its target, and the deployment is forced"
    )


@pytest.mark.parametrize(("goal", "verb"), [(Goal.SWITCH, "runs"), (Goal.BOOT, "boots")])
def test_unchanged_tells_the_run_that_deployed_it(goal: Goal, verb: str) -> None:
    """The host's own record is cited where it is about this very system, and only then."""
    record = Record(7, "me@here", None, NEW, NOW - timedelta(hours=3))
    decided = _decide(goal, replace(AT_TARGET, record=record))
    assert decided.reason == f"already {verb} {NEW.short}, deployed 3 h ago by run 7"
    stale = _decide(goal, replace(AT_TARGET, record=replace(record, out_path=OLD)))
    assert stale.reason == f"already {verb} {NEW.short}"


def test_unchanged_owns_up_to_a_boot_default_that_was_not_read() -> None:
    """Where only the profile is known, the reason does not claim to know the boot loader."""
    decided = _decide(Goal.SWITCH, replace(AT_TARGET, boot_source=BootSource.PROFILE))
    assert decided.reason.endswith(
        "(no boot loader's default could be read: the profile stands for it)"
    )


@pytest.mark.parametrize("goal", [Goal.SWITCH, Goal.BOOT])
def test_unchanged_warns_of_what_it_does_not_know_of_the_next_boot(goal: Goal) -> None:
    """Why the default cannot be read, or what boots once, goes along to people and programs."""
    note = 'GRUB: its default "Windows" starts no kernel of NixOS'
    unread = replace(AT_TARGET, boot_source=BootSource.PROFILE, boot_note=note)
    decided = _decide(goal, unread)
    assert isinstance(decided, Unchanged)
    assert [note in warning for warning in decided.warnings] == [True]
    once = replace(AT_TARGET, boot_note=f"the next boot alone starts {OLD}")
    assert _decide(goal, once).warnings == (once.boot_note,)
    assert _decide(goal, AT_TARGET).warnings == ()
    assert to_json(HostFinished("p620", decided, 1.0))["warnings"] == list(decided.warnings)
    assert "warnings" not in to_json(HostFinished("p620", _decide(goal, AT_TARGET), 1.0))


def test_a_test_says_nothing_of_the_next_boot() -> None:
    """``--goal test`` has nothing to do with what boots."""
    unread = replace(AT_TARGET, boot_source=BootSource.PROFILE, boot_note="GRUB: …")
    assert _decide(Goal.TEST, unread).warnings == ()


NEW_GAMING, OLD_GAMING = _path("g"), _path("h")
NONE, GAMING, WORK = (SpecialisePolicy.parse(text) for text in ("none", "gaming", "work"))
AT_GAMING = replace(AT_TARGET, running=NEW_GAMING, running_as=(Specialised(NEW, "gaming"),))
WAS_GAMING = HostState(
    "m", OLD_GAMING, OLD, OLD, OLD, BootSource.GRUB, (Specialised(OLD, "gaming"),)
)


@pytest.mark.parametrize(
    ("state", "policy", "unchanged"),
    [
        (AT_GAMING, KEEP, True),
        (AT_GAMING, GAMING, True),
        (AT_GAMING, NONE, False),
        (AT_GAMING, WORK, False),
        (AT_TARGET, KEEP, True),
        (AT_TARGET, NONE, True),
        (AT_TARGET, GAMING, False),
        (WAS_GAMING, KEEP, False),
        (replace(AT_GAMING, running_as=(Specialised(OTHER, "gaming"),)), KEEP, False),
    ],
)
def test_a_host_that_runs_the_right_specialisation_is_unchanged(
    state: HostState, policy: SpecialisePolicy, unchanged: bool
) -> None:
    """Unchanged means: of the wanted system that specialisation runs which is to run."""
    decided = decide(HOST, Goal.SWITCH, WANTED, state, now=NOW, specialise=policy)
    assert isinstance(decided, Unchanged) is unchanged
    if isinstance(decided, Unchanged):
        assert decided.specialisation == state.specialisation
        assert (f"'{state.specialisation}'" in decided.reason) is bool(state.specialisation)


def test_a_specialisation_that_the_boot_loader_prefers_counts_as_its_system() -> None:
    """Where the menu's default is a specialisation of the target, the host boots its target."""
    state = replace(AT_GAMING, boot_default=NEW_GAMING, booting_as=(Specialised(NEW, "gaming"),))
    assert isinstance(_decide(Goal.BOOT, state), Unchanged)
    other = replace(state, booting_as=(Specialised(OLD, "gaming"),))
    assert "it boots" in _plan(Goal.SWITCH, other).reason


@pytest.mark.parametrize(
    ("policy", "name", "warning"),
    [
        (KEEP, "gaming", None),
        (NONE, "", "switched away: specialisation 'gaming', to the system itself"),
        (WORK, "work", "switched away: specialisation 'gaming', to specialisation 'work'"),
    ],
)
def test_a_plan_says_what_becomes_of_a_specialisation(
    policy: SpecialisePolicy, name: str, warning: str | None
) -> None:
    """A specialisation is kept without a warning; of another choice, what is lost is named."""
    plan = decide(HOST, Goal.SWITCH, WANTED, WAS_GAMING, now=NOW, specialise=policy)
    assert isinstance(plan, HostPlan)
    assert (plan.specialisation, plan.warnings) == (name, (warning,) if warning else ())
    assert f"it runs specialisation 'gaming' of {OLD.short}" in plan.reason
    again = specialised(replace(plan, live=NEW_GAMING), AT_TARGET)
    assert again.live is None


def test_what_the_new_system_does_not_have_is_kept_or_refused_as_it_was_asked_for() -> None:
    """One that ran is given up with a warning; one that was asked for by its name is refused."""
    plan = decide(HOST, Goal.SWITCH, WANTED, WAS_GAMING, now=NOW)
    assert isinstance(plan, HostPlan)
    without = without_specialisation(plan, ("work",))
    assert (without.specialisation, len(without.warnings)) == ("", 1)
    assert "'gaming', which the new system does not have" in without.warnings[0]
    with pytest.raises(RefusedError, match="has no specialisation 'gaming'") as refused:
        without_specialisation(replace(plan, specialise=GAMING), ("desk", "work"))
    assert "it has desk, work" in (refused.value.hint or "")


def test_a_system_of_somebody_elses_is_named_before_it_is_switched_away() -> None:
    """What runs and is not the profile's is a warning, unless it waits for a boot, or is wanted."""
    foreign = replace(AT_TARGET, running=OTHER, profile=OLD, boot_default=OLD)
    (warning,) = _plan(Goal.SWITCH, foreign).warnings
    assert warning == f"switched away: a system that is not its profile's: {OTHER}"
    (warning,) = _plan(Goal.BOOT, foreign).warnings
    assert warning.startswith("until the next boot only it runs a system")
    assert _plan(Goal.SWITCH, replace(foreign, running=NEW)).warnings == ()
    began = Attempt("t", Goal.BOOT, OLD, replace(AT_TARGET, running=OTHER), 1, "me", None, NOW)
    waits = replace(foreign, attempt=replace(began, state=AttemptState.DONE))
    assert _plan(Goal.SWITCH, waits).warnings == ()


MEMBER = replace(HOST, name="kiosk-7", attr="kiosk", of="kiosk")


@pytest.mark.parametrize("goal", [Goal.SWITCH, Goal.TEST, Goal.BOOT])
@pytest.mark.parametrize("deployed_as", ["", "kiosk-3", "kiosk-7"])
def test_a_member_that_has_the_system_and_not_its_name_is_activated(
    goal: Goal, deployed_as: str
) -> None:
    """The shared system names nobody: only what was deployed as the member is unchanged."""
    record = Record(1, "me@here", None, NEW, NOW, token=f"run.{deployed_as}.nonce")
    state = replace(AT_TARGET, record=record if deployed_as else None)
    plan = decide(MEMBER, goal, WANTED, state, now=NOW)
    if deployed_as == "kiosk-7":
        assert isinstance(plan, Unchanged)
    else:
        assert isinstance(plan, HostPlan)
        assert plan.reason == "it has the system, and is not kiosk-7 yet"
    assert isinstance(decide(HOST, goal, WANTED, state, now=NOW), Unchanged)


def test_a_member_that_is_to_be_named_at_its_next_boot_is_not_named_yet() -> None:
    """A machine from an image that a deployment for the next boot took is activated by a switch."""
    began = Attempt("run.kiosk-7.nonce", Goal.BOOT, NEW, AT_TARGET, 1, "me", None, NOW)
    waits = replace(AT_TARGET, attempt=replace(began, state=AttemptState.DONE))
    assert isinstance(decide(MEMBER, Goal.BOOT, WANTED, waits, now=NOW), Unchanged)
    assert isinstance(decide(MEMBER, Goal.SWITCH, WANTED, waits, now=NOW), HostPlan)
    undone = replace(
        waits,
        attempt=replace(began, state=AttemptState.RETURNED),
        record=Record(1, "me@here", None, NEW, NOW, token="run.kiosk-7.nonce"),
    )
    assert isinstance(decide(MEMBER, Goal.SWITCH, WANTED, undone, now=NOW), Unchanged)
    booted = replace(waits, boot_id="another boot")
    assert isinstance(decide(MEMBER, Goal.SWITCH, WANTED, booted, now=NOW), Unchanged)
