"""Waves: every selected host in exactly one, the canary first, none empty."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.errors import UsageError
from orchestrator.core.host import Connect, Fleet, Host
from orchestrator.core.rollout import Amount, RolloutPolicy, Stage
from orchestrator.rollout.rollout import CANARY, EVERYBODY, REST, waves

TAGS = ("lab", "canary", "production")
amounts = st.one_of(
    st.builds(Amount, st.integers(1, 40)), st.builds(Amount, st.integers(1, 100), st.just(True))
)
pauses = st.one_of(st.none(), st.floats(0, 100))
selectors = st.sampled_from([f"tag:{tag}" for tag in TAGS] + ["*", "h0", "not tag:lab"])
stages = st.builds(Stage, st.sampled_from(TAGS), selectors, st.none() | amounts, pauses)
policies = st.builds(
    RolloutPolicy,
    canary=st.one_of(st.none(), amounts, selectors),
    batch=st.none() | amounts,
    pause=pauses,
    stages=st.none() | st.lists(stages, max_size=4).map(tuple),
    at_once=st.none() | st.booleans(),
)


def _fleet(tags: list[str]) -> Fleet:
    """Hosts ``h0`` and so on; each tag is there at least once."""
    hosts = [
        Host(f"h{at}", f"h{at}", Connect("x"), tags=(tag,)) for at, tag in enumerate([*tags, *TAGS])
    ]
    return Fleet("f", "/f", "/f", {host.name: host for host in hosts})


fleets = st.lists(st.sampled_from(TAGS), max_size=30).map(_fleet)


@given(fleets, policies, st.randoms())
def test_every_selected_host_is_in_exactly_one_wave(
    fleet: Fleet, policy: RolloutPolicy, random: Random
) -> None:
    """Whatever is selected and whatever the policy says; and no wave is empty."""
    hosts = [host for host in fleet.hosts.values() if random.random() < 0.7]
    made = waves(fleet, hosts, policy)
    divided = [name for wave in made for name in wave.hosts]
    assert sorted(divided) == sorted(host.name for host in hosts)
    assert all(wave.hosts for wave in made)
    assert made == waves(fleet, hosts, policy)


@given(fleets, policies)
def test_hosts_keep_their_order_within_a_wave(fleet: Fleet, policy: RolloutPolicy) -> None:
    """The inventory's, unless stages put them into another."""
    order = list(fleet.hosts)
    for wave in waves(fleet, tuple(fleet.hosts.values()), policy):
        at = [order.index(name) for name in wave.hosts]
        assert at == sorted(at) or (policy.stages and wave.name == CANARY)


@given(fleets, amounts, amounts)
def test_sizes_are_as_asked(fleet: Fleet, canary: Amount, batch: Amount) -> None:
    """Percentages are rounded up; only the last batch may be smaller."""
    hosts = tuple(fleet.hosts.values())
    first, *rest = waves(fleet, hosts, RolloutPolicy(canary=canary, batch=batch))
    assert first.name == CANARY
    assert len(first.hosts) == min(canary.of(len(hosts)), len(hosts))
    left = len(hosts) - len(first.hosts)
    for wave in rest[:-1]:
        assert len(wave.hosts) == batch.of(left)
    assert sum(len(wave.hosts) for wave in rest) == left


def test_what_is_typed_goes_before_what_a_stage_says() -> None:
    """Who types `--batch 1 --pause 1h` has no two hosts at once, and an hour between them."""
    fleet = _fleet([])
    stages = (Stage("lab", "tag:lab", Amount(5), 0.0), Stage("all", "*", Amount(100, True), 1.0))
    inventory = RolloutPolicy(stages=stages, pause=60.0)
    typed = RolloutPolicy(batch=Amount(1), pause=3600.0).over(inventory)
    made = waves(fleet, tuple(fleet.hosts.values()), typed)
    assert [(len(wave.hosts), wave.pause) for wave in made] == [(1, 3600.0)] * len(fleet.hosts)
    assert RolloutPolicy(budget=Amount(2)).over(inventory).stages == stages


@given(st.integers(1, 100), st.integers(0, 5000))
def test_a_percentage_is_rounded_up(percent: int, total: int) -> None:
    """A percentage of hosts is rounded up to whole hosts, and never beyond that."""
    hosts = Amount(percent, percent=True).of(total)
    assert 0 <= hosts * 100 - total * percent < 100


FLEET = _fleet(["production", "canary", "lab", "lab"])
"""h0 production, h1 canary, h2 h3 lab; then one of each: h4 lab, h5 canary, h6 production."""


def _of(policy: RolloutPolicy, *names: str) -> list[tuple[str, str, float]]:
    hosts = [host for host in FLEET.hosts.values() if not names or host.name in names]
    return [(wave.name, " ".join(wave.hosts), wave.pause) for wave in waves(FLEET, hosts, policy)]


def test_without_a_policy_all_hosts_are_one_wave() -> None:
    """The default: everybody at once; and nobody is no wave."""
    assert _of(RolloutPolicy()) == [(EVERYBODY, "h0 h1 h2 h3 h4 h5 h6", 0)]
    assert waves(FLEET, (), RolloutPolicy()) == ()
    assert waves(FLEET, (), RolloutPolicy(at_once=True)) == ()


def test_all_at_once_goes_before_all_else() -> None:
    """``--all-at-once`` goes before any policy, as for somebody in a hurry."""
    policy = RolloutPolicy(canary="h3", batch=Amount(1), pause=5.0)
    assert len(_of(policy)) == 7
    assert _of(RolloutPolicy(at_once=True).over(policy)) == _of(RolloutPolicy())


def test_a_canary_then_batches() -> None:
    """Each wave is named, and is followed by the pause."""
    policy = RolloutPolicy(canary="tag:canary", batch=Amount(50, percent=True), pause=60.0)
    assert _of(policy) == [
        ("canary", "h1 h5", 60),
        ("batch 1 of 2", "h0 h2 h3", 60),
        ("batch 2 of 2", "h4 h6", 60),
    ]
    assert _of(policy, "h0", "h2") == [("batch 1 of 2", "h0", 60), ("batch 2 of 2", "h2", 60)]


def test_stages_come_in_their_order() -> None:
    """A host of two stages is of the first; hosts of none come last."""
    policy = RolloutPolicy(
        canary=Amount(1),
        stages=(
            Stage("lab", "tag:lab", batch=Amount(2), pause=9.0),
            Stage("early", "tag:lab or tag:canary"),
        ),
        pause=1.0,
    )
    assert _of(policy) == [
        ("canary", "h2", 1),
        ("lab", "h3 h4", 9),
        ("early", "h1 h5", 1),
        (REST, "h0 h6", 1),
    ]


@pytest.mark.parametrize(
    ("policy", "whose"),
    [
        (RolloutPolicy(canary="tag:nobody"), "canary"),
        (RolloutPolicy(stages=(Stage("lab", "tag:nobody"),)), "stage lab"),
    ],
)
def test_a_selector_that_means_nobody_is_refused(policy: RolloutPolicy, whose: str) -> None:
    """A typo in it would otherwise leave the canary out."""
    with pytest.raises(UsageError, match=f"rollout: {whose}: no host matches 'tag:nobody'"):
        _of(policy)


@pytest.mark.parametrize("text", ["0", "0%", "101%", "-1", "1.5", "", "many", "5 %"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    """A text that is neither a number of hosts nor a percentage is refused."""
    with pytest.raises(ValueError, match="neither"):
        Amount.parse(text)


def test_amounts_are_written_as_they_are_read() -> None:
    """Amounts are written as they are read, as numbers and as percentages."""
    assert [str(Amount.parse(text)) for text in ("3", "25%", "100%")] == ["3", "25%", "100%"]


def test_what_one_policy_does_not_say_the_other_does() -> None:
    """The command line's goes before the fleet's, setting by setting."""
    typed, fleets_own = RolloutPolicy(batch=Amount(2)), RolloutPolicy(batch=Amount(9), pause=7.0)
    assert typed.over(fleets_own) == RolloutPolicy(batch=Amount(2), pause=7.0)


def test_the_budget_is_one_failure_unless_it_is_said() -> None:
    """A percentage is of all hosts of the run."""
    assert RolloutPolicy().most_failures(50) == 1
    assert RolloutPolicy(budget=Amount(10, percent=True)).most_failures(25) == 3


def test_a_stage_may_have_no_pause_where_the_policy_has_one() -> None:
    """A pause of nothing is a word, too; a stage that says none takes the policy's."""
    fleet = _fleet([])
    policy = RolloutPolicy(
        pause=60.0, stages=(Stage("a", "tag:lab", None, 0.0), Stage("b", "tag:canary", None, None))
    )
    made = waves(fleet, list(fleet.hosts.values()), policy)
    assert [(wave.name, wave.pause) for wave in made] == [("a", 0.0), ("b", 60.0), (REST, 60.0)]
