"""What an inventory accepts of security checks' findings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from orchestrator.core.risk import AcceptedFinding
from orchestrator.inventory.load import Inventory
from orchestrator.inventory.tree import InventoryError

LAYERS = """
defaults:
  security: {accept: [{finding: "login:*", reason: the net, until: 2027-01-31}]}
hosts:
  plain:
  web1:
    security:
      accept:
        - {finding: "key:/home/ada/*", reason: "moves: soon", until: "2027-03-01"}
"""


def test_what_layers_accept_adds_up(loaded: Callable[..., Inventory]) -> None:
    """A host accepts what its defaults accept, and what it accepts itself."""
    hosts = loaded(h=LAYERS).fleet.hosts
    net = AcceptedFinding("login:*", "the net", date(2027, 1, 31))
    ada = AcceptedFinding("key:/home/ada/*", "moves: soon", date(2027, 3, 1))
    assert hosts["plain"].accept_findings == (net,)
    assert hosts["web1"].accept_findings == (net, ada)


def test_a_host_of_which_nothing_is_said_accepts_nothing(
    loaded: Callable[..., Inventory],
) -> None:
    """Without a word in the inventory every finding counts."""
    assert loaded(h="hosts: {plain: {}}").fleet.hosts["plain"].accept_findings == ()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("[{finding: x, reason: y, until: 2027-01-01}]", "a finding such as key:/root/*"),
        ('[{finding: "key:*", until: 2027-01-01}]', "'reason'"),
        ('[{finding: "key:*", reason: y}]', "'until'"),
        ('[{finding: "key:*", reason: y, until: soon}]', "a day that there is"),
        ('["key:*"]', "a mapping with"),
        ('"key:*"', "a list"),
    ],
)
def test_half_an_acceptance_is_a_mistake(
    loaded: Callable[..., Inventory], said: str, expected: str
) -> None:
    """Each acceptance has a finding, a reason and a last day; else it is told where it is not."""
    with pytest.raises(InventoryError) as caught:
        loaded(h=f"hosts: {{web1: {{security: {{accept: {said}}}}}}}")
    assert expected in str(caught.value)
