"""What each goal answers."""

from __future__ import annotations

import pytest

from orchestrator.core.plan import Goal

QUESTIONS = (
    "contacts_host",
    "copies",
    "dry_activates",
    "activates",
    "commits",
    "changes_host",
)
ANSWERS = {
    Goal.BUILD: "",
    Goal.PUSH: "contacts_host copies",
    Goal.DRY_ACTIVATE: "contacts_host copies dry_activates",
    Goal.TEST: "contacts_host copies activates changes_host",
    Goal.SWITCH: "contacts_host copies activates commits changes_host",
    Goal.BOOT: "contacts_host copies commits changes_host",
}


def test_every_goal_is_asked() -> None:
    """The table below leaves no goal out."""
    assert set(ANSWERS) == set(Goal)


@pytest.mark.parametrize("goal", Goal)
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_goal_answers(goal: Goal, question: str) -> None:
    """Each goal does what ``nixos-rebuild`` does under the same word, and no more."""
    assert getattr(goal, question) is (question in ANSWERS[goal].split())


@pytest.mark.parametrize("goal", Goal)
def test_an_achievement_claims_no_more_than_is_so(goal: Goal) -> None:
    """Only a goal that activates claims that something runs; each has words of its own."""
    assert goal.achievement.startswith("running") is goal.activates
    assert [other for other in Goal if other.achievement == goal.achievement] == [goal]
