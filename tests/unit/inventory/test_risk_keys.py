"""How much risk hosts may be at, as the inventory says it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from orchestrator.core.risk import Acceptance, Risk
from orchestrator.inventory.load import Inventory

LAYERS = """
defaults: {max_risk: moderate}
templates:
  server: {max_risk: low, accept_risk: {level: high, reason: moving, until: 2027-03-01}}
hosts:
  plain:
  web1: {template: server}
  web2:
    template: server
    accept_risk: {level: critical, reason: "a demo: on Friday", until: "2026-12-31"}
"""


def test_a_policy_is_a_setting_as_any_other(loaded: Callable[..., Inventory]) -> None:
    """The host's own word goes before its template's, and that before the defaults'."""
    inventory = loaded(h=LAYERS)
    hosts = inventory.fleet.hosts
    assert (hosts["plain"].max_risk, hosts["plain"].accept_risk) == (Risk.MODERATE, None)
    moving = Acceptance(Risk.HIGH, "moving", date(2027, 3, 1))
    assert (hosts["web1"].max_risk, hosts["web1"].accept_risk) == (Risk.LOW, moving)
    demo = Acceptance(Risk.CRITICAL, "a demo: on Friday", date(2026, 12, 31))
    assert hosts["web2"].accept_risk == demo
    said = {value.key: str(value.origin) for value in inventory.origins("web2")}
    assert said["max_risk"] == "inventory/h.yaml:4 (template server)"
    assert said["accept_risk.level"] == "inventory/h.yaml:10 (host web2)"


def test_without_a_policy_nothing_is_said(loaded: Callable[..., Inventory]) -> None:
    """A host of a fleet that says nothing of risk has no policy."""
    host = loaded(h="hosts: {plain: {}}").fleet.hosts["plain"]
    assert (host.max_risk, host.accept_risk) == (None, None)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("max_risk: medium", "one of minimal, low, moderate, high, critical"),
        ("accept_risk: {level: high, until: 2027-03-01}", "'reason'"),
        ("accept_risk: {level: high, reason: x}", "'until'"),
        ("accept_risk: {reason: x, until: 2027-03-01}", "'level'"),
        ("accept_risk: {level: high, reason: x, until: 2027-02-29}", "a day that there is"),
        ("accept_risk: {level: high, reason: x, until: 20270301}", "a day that there is"),
        ("accept_risk: {level: high, reason: x, until: 2027-W09-1}", "a day that there is"),
        ('accept_risk: {level: high, reason: "", until: 2027-03-01}', "a reason"),
        ("accept_risk:", "a mapping with"),
    ],
)
def test_half_a_word_is_a_mistake(
    mistakes: Callable[..., list[str]], said: str, expected: str
) -> None:
    """What is accepted needs a level, a reason and a day that there is."""
    (line,) = mistakes(h=f"hosts:\n  web1:\n    {said}\n")
    assert expected in line
