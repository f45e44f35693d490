"""A run's events for each outcome, and a clock that stands still until it is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.core.event import (
    Event,
    HostFinished,
    LogLine,
    Notice,
    Phase,
    PhaseStarted,
    Progress,
    RunFinished,
    RunStarted,
)
from orchestrator.core.outcome import (
    Completed,
    Deferred,
    Deployed,
    Failed,
    Outcome,
    Problem,
    RolledBack,
    Skipped,
    Unchanged,
)
from orchestrator.core.plan import Goal
from orchestrator.core.run import HostResult, Report, Run
from orchestrator.core.store import OutPath

NOON = datetime(2025, 6, 1, 12, 0, 0, tzinfo=UTC)
OUT = OutPath("/nix/store/" + "a" * 32 + "-nixos-system-p620-25.05")
PROBLEM = Problem(
    step="activate",
    message="switch-to-configuration failed (exit 4)",
    hint="look at the unit's journal",
    command="ssh p510 systemctl status broken",
    stderr=tuple(f"line {number}" for number in range(25)),
    host_state="p510 runs nixos-system-p510-25.05, as before",
)
OUTCOMES: dict[str, Outcome] = {
    "p620": Unchanged("already runs nixos-system-p620-25.05", OUT),
    "razer": Deployed("3 packages changed", OUT, Goal.SWITCH, ("degraded before and after",)),
    "samsung": Deferred("did not answer", OUT),
    "p510": Failed("activation failed", PROBLEM, OUT),
    "dex5550": RolledBack("verification failed", OUT, PROBLEM),
    "spare": Skipped("an earlier wave failed"),
    "other": Completed("built", OUT, Goal.BUILD),
}


@dataclass
class FakeClock:
    """Seconds since the run began."""

    now: float = 0.0

    def __call__(self) -> float:
        """Tell the time that was set."""
        return self.now


def run(folder: str = "/runs/12") -> Run:
    """Make run 12."""
    return Run(12, folder, "admin@desk", "abc1234-dirty", NOON)


def report(outcomes: dict[str, Outcome] = OUTCOMES, *, folder: str = "/runs/12") -> Report:
    """Make its report."""
    hosts = {name: HostResult(outcome, 1.25) for name, outcome in outcomes.items()}
    return Report(run(folder), Goal.SWITCH, False, hosts, 12.5)


def stream(folder: str = "/runs/12") -> list[Event]:
    """Every kind of event, and every outcome."""
    return [
        RunStarted(run(folder), Goal.SWITCH, tuple(OUTCOMES)),
        Notice("fleet.json was refreshed"),
        PhaseStarted("p620", Phase.EVALUATE),
        Progress("p620", "evaluating p620"),
        LogLine("p620", "$ nix eval\nsecond"),
        Notice("the clock is wrong", "p620", warning=True),
        *(HostFinished(name, outcome, 1.25) for name, outcome in OUTCOMES.items()),
        RunFinished(report(folder=folder)),
    ]
