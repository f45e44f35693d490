"""A host's risk is held against its policy before anything is built, and told in a plan."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from fake_host import ELSE, NEW, Bench

from orchestrator.core.event import Notice
from orchestrator.core.host import WhenUnreachable
from orchestrator.core.outcome import Deferred, Deployed, Failed, Unchanged
from orchestrator.core.plan import Goal
from orchestrator.core.risk import Acceptance, Risk
from orchestrator.core.specialisation import SpecialisePolicy
from orchestrator.core.store import DrvPath, Evaluated
from orchestrator.core.values import replace
from orchestrator.risk.kept import Kept, System, keep
from orchestrator.risk.model import Firewall, Kernel, Login, Opened, Ssh, Store, Surface

PLAIN = Surface(
    *(Firewall(enable=True), {}, {}, {}, Ssh(enable=False), (), {}, Store(), Login()),
    Kernel(locks_modules=True, protects_image=True, confines=True),
    {},
)
OPEN = replace(PLAIN, firewall=Firewall(enable=False, everybody=Opened(tcp=(23,))))
"""50 points: high."""
FOREVER = date(9000, 1, 1)


def notices(bench: Bench) -> list[str]:
    """What was said of the host."""
    return [event.text for event in bench.events if isinstance(event, Notice)]


def test_without_a_policy_a_deployment_assesses_nothing(bench: Bench) -> None:
    """Only a plan tells the risk then, in words and in its outcome."""
    bench.surface = OPEN
    planned = bench.deploy(plan_only=True)
    assert isinstance(planned, Deployed)
    assert planned.risk is not None
    assert planned.risk.after is Risk.HIGH
    assert planned.foreseen is not None
    (note,) = planned.foreseen.notes
    assert (note.topic, note.text[:21]) == ("risk", "high: has no firewall")
    assert bench.assessed == 1
    done = bench.deploy()
    assert isinstance(done, Deployed)
    assert done.risk is None
    assert bench.assessed == 1


def test_a_plan_goes_on_where_the_risk_is_not_known(bench: Bench) -> None:
    """A risk that is not known is said, and refuses no plan."""
    planned = bench.deploy(plan_only=True)
    assert isinstance(planned, Deployed)
    assert planned.risk is None
    assert "its risk is not known: no Nix" in notices(bench)


def test_more_than_the_policy_is_refused_before_anything_is_built(bench: Bench) -> None:
    """The host is not locked, asked for a reason by its check's name, and nothing is delivered."""
    bench.surface, bench.max_risk = OPEN, Risk.MODERATE
    for options in ({}, {"plan_only": True}):
        failed = bench.deploy(**options)
        assert isinstance(failed, Failed)
        assert failed.problem.refused
        assert (failed.problem.step, failed.problem.checks) == ("risk", ("risk",))
        assert failed.problem.message.startswith("risk high is more than max_risk: moderate")
    assert bench.delivered == []
    assert "take" not in bench.host.calls


@pytest.mark.parametrize("most", [Risk.HIGH, Risk.CRITICAL])
def test_what_is_within_the_policy_is_deployed_without_a_word(bench: Bench, most: Risk) -> None:
    """The outcome has the risk all the same."""
    bench.surface, bench.max_risk = OPEN, most
    done = bench.deploy()
    assert isinstance(done, Deployed)
    assert done.warnings == ()
    assert done.risk is not None
    assert done.risk.points == 50


def test_what_is_accepted_is_deployed_and_kept_in_the_outcome(bench: Bench) -> None:
    """The reason stands among the warnings, which the history has."""
    bench.surface, bench.max_risk = OPEN, Risk.LOW
    bench.accept_risk = Acceptance(Risk.HIGH, "moving house", FOREVER)
    done = bench.deploy()
    assert isinstance(done, Deployed)
    assert any("is accepted until 9000-01-01: moving house" in text for text in done.warnings)


def test_an_acceptance_that_expired_refuses_and_says_so(bench: Bench) -> None:
    """A day of the past counts no more."""
    bench.surface, bench.max_risk = OPEN, Risk.LOW
    bench.accept_risk = Acceptance(Risk.HIGH, "moving house", date(2001, 1, 1))
    failed = bench.deploy()
    assert isinstance(failed, Failed)
    assert "its acceptance expired on 2001-01-01" in failed.problem.message


@pytest.mark.parametrize("known", [True, False])
def test_an_emergency_goes_on_and_says_so(bench: Bench, known: bool) -> None:
    """Too much risk, or one that is not known, is a warning in its outcome."""
    bench.max_risk = Risk.LOW
    if known:
        bench.surface = OPEN
    done = bench.deploy(emergency="the door is open", verify=False)
    assert isinstance(done, Deployed)
    said = "an emergency goes on all the same" if known else "its risk is not known: no Nix"
    assert any(said in text for text in done.warnings)


def test_a_risk_that_is_not_known_is_refused_where_there_is_a_policy(bench: Bench) -> None:
    """What does not evaluate is never taken for safe."""
    bench.max_risk = Risk.CRITICAL
    failed = bench.deploy()
    assert isinstance(failed, Failed)
    assert failed.problem.refused
    assert failed.problem.message == "its risk is not known, and max_risk is critical: no Nix"


def test_an_unchanged_host_is_assessed_by_nobody(bench: Bench) -> None:
    """The policy is of deployments that change something."""
    bench.surface = PLAIN
    assert isinstance(bench.deploy(), Deployed)
    bench.surface, bench.max_risk = OPEN, Risk.MINIMAL
    assert isinstance(bench.deploy(), Unchanged)
    assert isinstance(bench.deploy(plan_only=True), Unchanged)
    assert bench.assessed == 0


@pytest.mark.parametrize("goal", [Goal.BUILD, Goal.PUSH, Goal.DRY_ACTIVATE])
def test_goals_that_change_no_host_are_not_judged(bench: Bench, goal: Goal) -> None:
    """To build is how a fleet's CI finds out; nothing of it runs anywhere."""
    bench.surface, bench.max_risk = OPEN, Risk.MINIMAL
    assert not isinstance(bench.deploy(goal), Failed)


def test_a_host_that_does_not_answer_is_judged_before_its_system_waits(bench: Bench) -> None:
    """Nothing waits for it that would be refused."""
    bench.surface, bench.max_risk, bench.host.reachable = OPEN, Risk.LOW, False
    failed = bench.deploy(unreachable=WhenUnreachable.DEFER)
    assert isinstance(failed, Failed)
    assert failed.problem.refused
    assert not (bench.folder / "pending").exists()
    bench.max_risk = Risk.HIGH
    assert isinstance(bench.deploy(unreachable=WhenUnreachable.DEFER), Deferred)


def given_system(**more: Any) -> dict[str, Any]:
    """A request that brings a system along, as one for a host that was unreachable does."""
    return {"systems": {"p620": Evaluated(DrvPath(f"{NEW}.drv"), NEW)}, **more}


def test_a_system_that_is_given_is_judged_by_what_is_known_of_it(bench: Bench) -> None:
    """Where today's configuration makes another one, it says nothing of it: it is refused."""
    bench.surface, bench.max_risk, bench.target = PLAIN, Risk.LOW, ELSE
    failed = bench.deploy(**given_system())
    assert isinstance(failed, Failed)
    assert "was never assessed on this machine" in failed.problem.message
    assert bench.assessed == 0
    keep(bench.folder, Kept(System(NEW), PLAIN))
    assert isinstance(bench.deploy(**given_system()), Deployed)


def test_a_system_that_is_given_is_assessed_where_it_is_still_the_configurations(
    bench: Bench,
) -> None:
    """What waited is not refused for ever because nobody knew which specialisation runs there."""
    bench.surface, bench.max_risk = PLAIN, Risk.LOW
    assert isinstance(bench.deploy(**given_system()), Deployed)
    assert bench.assessed == 1


@pytest.mark.parametrize("reachable", [True, False])
def test_what_the_next_boot_brings_is_held_against_the_policy_too(
    bench: Bench, reachable: bool
) -> None:
    """A specialisation with little risk hides no system that boots with more."""
    keep(bench.folder, Kept(System(NEW, "gaming"), PLAIN))
    keep(bench.folder, Kept(System(NEW), OPEN))
    bench.max_risk, bench.host.reachable = Risk.LOW, reachable
    gaming: dict[str, Any] = {
        "specialisation": SpecialisePolicy.parse("gaming"),
        "unreachable": WhenUnreachable.DEFER,
    }
    failed = bench.deploy(**gaming)
    assert isinstance(failed, Failed)
    assert failed.problem.message.startswith("its next boot: risk high is more than max_risk: low")
    bench.accept_risk = Acceptance(Risk.HIGH, "moving house", FOREVER)
    bench.deploy(**gaming, plan_only=True)
    assert any(one.startswith("its next boot: risk high is accepted") for one in notices(bench))


def test_what_is_tried_until_the_next_boot_is_judged_alone(bench: Bench) -> None:
    """A boot brings back what the host booted before: the system itself is not asked about."""
    keep(bench.folder, Kept(System(NEW, "gaming"), PLAIN))
    keep(bench.folder, Kept(System(NEW), OPEN))
    bench.max_risk, gaming = Risk.LOW, SpecialisePolicy.parse("gaming")
    planned = bench.deploy(Goal.TEST, specialisation=gaming, plan_only=True)
    assert isinstance(planned, Deployed)
    assert planned.warnings == ()


def test_a_specialisation_with_too_much_risk_waits_for_no_host(bench: Bench) -> None:
    """The one that the inventory names is judged where the host cannot say what it runs."""
    keep(bench.folder, Kept(System(NEW, "gaming"), OPEN))
    keep(bench.folder, Kept(System(NEW), PLAIN))
    bench.max_risk, bench.host.reachable = Risk.LOW, False
    gaming = SpecialisePolicy.parse("gaming")
    failed = bench.deploy(specialisation=gaming, unreachable=WhenUnreachable.DEFER)
    assert isinstance(failed, Failed)
    assert failed.problem.message.startswith("risk high is more than max_risk: low")
