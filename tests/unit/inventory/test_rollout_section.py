"""The section ``rollout``: how deployments go over the hosts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.core.rollout import Amount, RolloutPolicy, Stage, WhenSpent
from orchestrator.inventory.load import Inventory, load
from orchestrator.inventory.root import key_of, recall, remember

HOSTS = "hosts: {web1: {}, web2: {}}\n"
WHOLE = """\
rollout:
  canary: tag:canary
  batch: 25%
  pause: 10m
  budget: 2
  when_spent: roll-back-wave
  stages:
    lab: {hosts: "tag:lab", pause: 0}
    production: {hosts: "not tag:lab", batch: 3, description: those that count}
"""


def test_all_of_it_is_read(loaded: Callable[..., Inventory]) -> None:
    """Every key of the rollout section is read, and stages keep their order."""
    assert loaded(a=HOSTS + WHOLE).fleet.rollout == RolloutPolicy(
        canary="tag:canary",
        batch=Amount(25, percent=True),
        pause=600.0,
        budget=Amount(2),
        when_spent=WhenSpent.ROLL_BACK_WAVE,
        stages=(
            Stage("lab", "tag:lab", pause=0.0),
            Stage("production", "not tag:lab", batch=Amount(3)),
        ),
    )


def test_nothing_is_said_without_it(loaded: Callable[..., Inventory]) -> None:
    """Without a rollout section all hosts are deployed at once, which is the default policy."""
    assert loaded(a=HOSTS).fleet.rollout == RolloutPolicy()
    assert loaded(a=HOSTS + "rollout:\n").fleet.rollout == RolloutPolicy()


def test_a_canary_may_be_a_number(loaded: Callable[..., Inventory]) -> None:
    """A canary in the inventory may be a number of hosts or a percentage."""
    policy = loaded(a=HOSTS + "rollout: {canary: 2}\n").fleet.rollout
    assert policy.canary == Amount(2)
    policy = loaded(a=HOSTS + "rollout: {canary: 5%}\n").fleet.rollout
    assert policy.canary == Amount(5, percent=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("batch: 0", "a number of hosts, from 1 on, or such as 25%"),
        ("batch: 120%", "a number of hosts, from 1 on, or such as 25%"),
        ("batch: true", "a number of hosts, from 1 on, or such as 25%"),
        ("canary: 0", "or a selector"),
        ("when_spent: go-on", "one of stop, roll-back-wave, roll-back-run"),
        ("stages: {lab: {}}", "a stage without 'hosts'"),
    ],
)
def test_mistakes_are_told(mistakes: Callable[..., list[str]], text: str, expected: str) -> None:
    """Each at its place, with what is expected."""
    (told,) = mistakes(a=f"{HOSTS}rollout: {{{text}}}\n")
    assert expected in told
    assert "a.yaml:2" in told


def test_it_is_remembered(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fleet that was read before has the same rollout."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = write(a=HOSTS + WHOLE)
    inventory = load(root)
    remember(root, inventory, key_of(root))
    assert recall(root) == inventory.fleet
