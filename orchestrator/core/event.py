"""What happens during a run. The engine emits events; a renderer draws them."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from orchestrator.core.outcome import Outcome
from orchestrator.core.plan import Goal
from orchestrator.core.rollout import Wave
from orchestrator.core.run import Report, Run
from orchestrator.core.stored import kebab


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


class _Event(Struct, frozen=True, tag_field="type", tag=kebab):
    """In files, the name of the class tells which event it is."""


class RunStarted(_Event, frozen=True):
    """A run begins; ``hosts`` are those selected."""

    run: Run
    goal: Goal
    hosts: tuple[str, ...]
    plan_only: bool = False
    waves: tuple[Wave, ...] = ()


class WaveStarted(_Event, frozen=True):
    """The turn of a wave's hosts has come; ``number`` counts from 1."""

    wave: Wave
    number: int
    of: int


class WaveEnded(_Event, frozen=True):
    """All hosts of a wave have ended; ``failed`` are those that failed or were rolled back."""

    wave: Wave
    number: int
    of: int
    failed: tuple[str, ...] = ()


class Paused(_Event, frozen=True):
    """No host's turn comes for ``seconds``; where that is ``None``, until a person says so."""

    why: str
    seconds: float | None = None


class PhaseStarted(_Event, frozen=True):
    """A host enters a phase. Evaluating and asking go on at the same time."""

    host: str
    phase: Phase


class Progress(_Event, frozen=True):
    """What a host's phase is at: the current build or copy. Replaces the one before."""

    host: str
    text: str


class Recalled(_Event, frozen=True):
    """Whether a host's system is known without an evaluation, and why or why not."""

    host: str
    known: bool
    reason: str


class LogLine(_Event, frozen=True):
    """A line for the host's log: a command that is run, or what it says."""

    host: str
    text: str


class Notice(_Event, frozen=True):
    """A sentence that a person should read now; of one host or of the run."""

    text: str
    host: str | None = None
    warning: bool = False


class HostFinished(_Event, frozen=True):
    """A host is done."""

    host: str
    outcome: Outcome
    seconds: float


class RunFinished(_Event, frozen=True):
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
