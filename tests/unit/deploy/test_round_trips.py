"""How often a host is asked in one change: each question is a round trip, and a session."""

from __future__ import annotations

from fake_host import Bench

from orchestrator.core.outcome import Deployed
from orchestrator.core.plan import Goal

MOST = 18
"""What it is; the lock, with what it is by then; checks, hardware, a root for the copy; what a
switch brings, the lock with what it is, services, whether a session can be had; start, two looks,
contact, a look while it is verified; services, what it is, confirm; and the lock given back."""


def test_a_change_asks_its_host_few_questions(bench: Bench) -> None:
    """A change takes no more commands on its host than are named here, over two connections."""
    assert isinstance(bench.deploy(), Deployed)
    assert bench.host.commands <= MOST, bench.host.commands
    assert bench.host.opened == 2


def test_a_goal_that_does_not_activate_asks_no_more(bench: Bench) -> None:
    """Making a system the boot default alone takes fewer questions than switching to it."""
    assert isinstance(bench.deploy(Goal.BOOT), Deployed)
    assert bench.host.commands < MOST
    assert bench.host.opened == 1
