"""Every fault of the campaign: those that are held to each phase by the suite too, and more."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.lab.faults.campaign import strikes
from tests.lab.faults.campaign.clock import move_clock
from tests.lab.faults.campaign.strikes import Hit, Stage
from tests.lab.faults.injections import INJECTIONS, Injection

BEFORE = ("before", "copy")
SECONDS = (
    "partition-returns",
    "connection-killed",
    "power-cut",
    "frozen-thaws",
    "deployer-killed",
    "guard-killed",
)
"""Faults that may strike while another one is there."""

_NO_BOOT = frozenset(SECONDS) - {"power-cut"}
_NO_STATE = _NO_BOOT - {"guard-killed"}
_FROM_OUTSIDE = frozenset({"deployer-killed", "guard-killed"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        name: Its name in the table.
        words: What happens, for the table's reader.
        strike: Brings it, in a way that is left to chance.
        blinds: The deployer may not be able to know what became of the host.
        kills: The deployer ends without a report.
        senseless: Columns where there is nothing that it could strike.
        early: It begins with the deployment itself where ``before`` is aimed at.
        bears: Other faults that may strike meanwhile.
    """

    name: str
    words: str
    strike: Callable[[Stage, random.Random], Hit]
    blinds: bool = False
    kills: bool = False
    senseless: tuple[str, ...] = ()
    early: bool = False
    bears: frozenset[str] = frozenset(SECONDS)

    def fits(self, column: str) -> bool:
        """Whether it makes sense there."""
        return column not in self.senseless


def _as_in_the_suite(injection: Injection) -> Fault:
    """A fault of the suite; it passes as it does there, or stays until the host rests."""
    name = injection.name

    def strike(stage: Stage, _: random.Random) -> Hit:
        injection.strike(stage.scene)
        if injection.passes is None:
            until = "deployer" if name == "frozen-stays" else "rest"
            return Hit(name, stage.ground.mend, until)
        ends = injection.passes
        return Hit(name, lambda: ends(stage.scene), "soon")

    bears = frozenset(SECONDS) - {name}
    if name in ("power-cut", "deployer-killed"):
        bears = frozenset()
    elif name.startswith("frozen"):
        bears = _FROM_OUTSIDE
    elif name in ("disk-full", "memory-full"):
        bears = _NO_BOOT
    return Fault(name, injection.words, strike, injection.blinds, injection.kills, bears=bears)


_MORE = (
    Fault(
        "guard-killed",
        "the guard is killed: its shell, all its processes, or again and again",
        strikes.kill_guard,
        senseless=BEFORE,
        bears=frozenset(SECONDS) - {"guard-killed"},
    ),
    Fault(
        "guard-stopped",
        "the guard hangs for a while or until the deployer has ended, or its unit is stopped",
        strikes.stop_guard,
        blinds=True,
        senseless=BEFORE,
        bears=_NO_STATE,
    ),
    Fault(
        "state-truncated",
        "the guard's files are emptied, halved or overwritten, in /run, /var/lib or both",
        strikes.truncate_state,
        bears=_NO_STATE,
    ),
    Fault(
        "state-removed",
        "the guard's files or folders are removed, in /run, /var/lib or both",
        strikes.remove_state,
        bears=_NO_STATE,
    ),
    Fault(
        "state-folder-full",
        "/var/lib/orchestrator takes nothing more",
        strikes.fill_state_folder,
        bears=_NO_BOOT,
    ),
    Fault(
        "state-folder-hidden",
        "something else is mounted over /var/lib/orchestrator, or it is read-only",
        strikes.hide_state_folder,
        bears=_NO_STATE,
    ),
    Fault(
        "host-collects-garbage",
        "the host collects garbage all the time",
        strikes.collect_on_host,
    ),
    Fault(
        "deployer-collects-garbage",
        "the deployer's store collects garbage all the time",
        strikes.collect_at_home,
        early=True,
    ),
    Fault(
        "two-deployers",
        "another person deploys meanwhile: the same content or another, or takes the lock first",
        strikes.second_deployer,
        bears=frozenset({"connection-killed", "partition-returns"}),
    ),
    Fault(
        "clock-jumps",
        "the host's date is a day ahead, a day behind or 1970; or an hour of sleep has passed",
        move_clock,
        blinds=True,  # the stand-in moves the uptime, and no process's beginning
        bears=_NO_BOOT,
    ),
    Fault(
        "repository-edited",
        "edits, commits and checkouts in the fleet's repository, with a learner at work",
        strikes.edit_repository,
        early=True,
        bears=frozenset({"connection-killed", "partition-returns"}),
    ),
    Fault(
        "adversary",
        "nobody locks every file that it can open, fills /tmp, has titles with control characters",
        strikes.let_nobody_loose,
        bears=_NO_BOOT,
    ),
    Fault(
        "host-floods",
        "the host answers every command over SSH without end",
        strikes.flood,
        blinds=True,
        bears=frozenset({"deployer-killed", "guard-killed"}),
    ),
)

FAULTS = {fault.name: fault for fault in (*map(_as_in_the_suite, INJECTIONS.values()), *_MORE)}
"""Every fault by its name."""
