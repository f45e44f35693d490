"""What happens during a run. The engine emits events; a renderer draws them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from orchestrator.core.outcome import Outcome
from orchestrator.core.plan import Goal
from orchestrator.core.rollout import Wave
from orchestrator.core.run import Report, Run


class Phase(Enum):
    """What a host is busy with."""

    WAIT = "waiting"
    EVALUATE = "evaluating"
    ASK = "asking"
    BUILD = "building"
    PREFLIGHT = "checking"
    COPY = "copying"
    ACTIVATE = "activating"
    PROVE = "proving"
    VERIFY = "verifying"
    COMMIT = "committing"
    ROLL_BACK = "rolling back"
    REBOOT = "rebooting"


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins; ``hosts`` are those selected."""

    run: Run
    goal: Goal
    hosts: tuple[str, ...]
    plan_only: bool = False
    waves: tuple[Wave, ...] = ()


@dataclass(frozen=True, slots=True)
class WaveStarted:
    """The turn of a wave's hosts has come; ``number`` counts from 1."""

    wave: Wave
    number: int
    of: int


@dataclass(frozen=True, slots=True)
class WaveEnded:
    """All hosts of a wave have ended; ``failed`` are those that failed or were rolled back."""

    wave: Wave
    number: int
    of: int
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Paused:
    """No host's turn comes for ``seconds``; where that is ``None``, until a person says so."""

    why: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A host enters a phase. Evaluating and asking go on at the same time."""

    host: str
    phase: Phase


@dataclass(frozen=True, slots=True)
class Progress:
    """What a host's phase is at: the current build or copy. Replaces the one before."""

    host: str
    text: str


@dataclass(frozen=True, slots=True)
class Recalled:
    """Whether a host's system is known without an evaluation, and why or why not."""

    host: str
    known: bool
    reason: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line for the host's log: a command that is run, or what it says."""

    host: str
    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence that a person should read now; of one host or of the run."""

    text: str
    host: str | None = None
    warning: bool = False


@dataclass(frozen=True, slots=True)
class HostFinished:
    """A host is done."""

    host: str
    outcome: Outcome
    seconds: float


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The last event of every run."""

    report: Report


Event = (
    RunStarted
    | WaveStarted
    | WaveEnded
    | Paused
    | Recalled
    | PhaseStarted
    | Progress
    | LogLine
    | Notice
    | HostFinished
    | RunFinished
)
