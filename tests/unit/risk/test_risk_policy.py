"""What is within a policy, what is tolerated, and what is too much."""

from __future__ import annotations

from datetime import date

import pytest

from orchestrator.core.risk import Acceptance, Floor, Risk, RiskChange, Term
from orchestrator.core.values import replace
from orchestrator.risk.plan.policy import Exceeded, Policy, Tolerated, Within, judge

TODAY = date(2027, 1, 15)
PORT = Term("port", "opens 8096/tcp to everybody", 5, "o")
HIGH = RiskChange(Risk.HIGH, 60, Risk.MODERATE, 45, raised=(PORT,))
LOW = Policy(Risk.LOW, said_at="inventory/templates.yaml:12")
ACCEPTED = Acceptance(Risk.HIGH, "films", date(2027, 1, 15))


@pytest.mark.parametrize("most", [Risk.HIGH, Risk.CRITICAL])
def test_as_much_as_is_allowed_is_within(most: Risk) -> None:
    """The policy's level is the most that may be, and not the least that may not."""
    assert judge("p510", HIGH, Policy(most), TODAY) == Within()


def test_more_than_that_is_refused_with_the_terms_and_the_line_that_says_so() -> None:
    """The message names what raises it and where the limit is; the hint, the two ways on."""
    found = judge("p510", HIGH, LOW, TODAY)
    assert isinstance(found, Exceeded)
    assert found.text == (
        "risk high is more than max_risk: low (inventory/templates.yaml:12): "
        "opens 8096/tcp to everybody (5)"
    )
    assert "orchestrator risk p510" in found.hint
    assert "accept_risk: {level: high, reason: …, until: 2028-01-31}" in found.hint


def test_what_is_accepted_counts_to_the_end_of_its_last_day() -> None:
    """On that day it is tolerated, with its reason; a day later it has expired, which is said."""
    policy = replace(LOW, accepted=ACCEPTED, accepted_at="inventory/hosts.yaml:9")
    found = judge("p510", HIGH, policy, TODAY)
    assert found == Tolerated(
        "risk high is accepted until 2027-01-15 (inventory/hosts.yaml:9): films "
        "(more than max_risk: low (inventory/templates.yaml:12))"
    )
    late = judge("p510", HIGH, policy, date(2027, 1, 16))
    assert isinstance(late, Exceeded)
    assert "its acceptance (inventory/hosts.yaml:9) expired on 2027-01-15" in late.text


def test_more_than_is_accepted_is_refused() -> None:
    """An acceptance of high does not cover critical."""
    found = judge(
        "p510", replace(HIGH, after=Risk.CRITICAL), replace(LOW, accepted=ACCEPTED), TODAY
    )
    assert isinstance(found, Exceeded)
    assert "its acceptance is of high only, not critical" in found.text


def test_less_than_what_runs_is_tolerated_and_as_much_is_not() -> None:
    """A deployment that takes something away and adds nothing leaves the host better than it is."""
    less = RiskChange(Risk.HIGH, 55, Risk.CRITICAL, 100, lowered=(PORT,))
    found = judge("p510", less, LOW, TODAY)
    assert isinstance(found, Tolerated)
    assert "less than what runs" in found.text
    same = RiskChange(Risk.HIGH, 55, Risk.HIGH, 55)
    refused = judge("p510", same, LOW, TODAY)
    assert isinstance(refused, Exceeded)
    assert "55 points, as many as what runs" in refused.text
    swapped = replace(less, raised=(PORT,))
    assert isinstance(judge("p510", swapped, LOW, TODAY), Exceeded)
    unknown = RiskChange(Risk.HIGH, 55, raised=(PORT,))
    assert isinstance(judge("p510", unknown, LOW, TODAY), Exceeded)


def test_a_feature_that_is_declared_too_risky_is_named() -> None:
    """A declared level refuses as terms do."""
    declared = RiskChange(Risk.HIGH, 0, floors=(Floor("vfio", Risk.HIGH),))
    found = judge("p510", declared, LOW, TODAY)
    assert isinstance(found, Exceeded)
    assert found.text.endswith("feature vfio is declared high")
