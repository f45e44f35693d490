"""A run: what is asked of it, its report, its exit code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import assert_never

from msgspec import Struct, field

from orchestrator.core.generation import WayBack
from orchestrator.core.host import BuildSite, WhenUnreachable
from orchestrator.core.outcome import (
    Completed,
    Deferred,
    Deployed,
    Failed,
    Outcome,
    RolledBack,
    Skipped,
    Unchanged,
)
from orchestrator.core.plan import Goal
from orchestrator.core.rollout import RolloutPolicy, Wave
from orchestrator.core.specialisation import SpecialisePolicy
from orchestrator.core.store import Evaluated, OutPath
from orchestrator.core.stored import Time, check_times
from orchestrator.core.units import MOST_NAMED, listing


class CopyMethod(Enum):
    """How paths are copied to a host."""

    CONNECTION = "connection"
    """Nix's own protocol over the connection that is open already."""
    """Nix's own protocol over an ``ssh`` of Nix's own."""
    STREAM = "stream"
    """The missing paths as one compressed stream over the connection that is open already."""


class Load(Struct, frozen=True):
    """What is to be copied.

    Attributes:
        paths: How many store paths.
        size: Their size as NAR archives, in bytes.
    """

    paths: int
    size: int


class Link(Struct, frozen=True):
    """The way to a host.

    Attributes:
        rate: Bytes a second.
        round_trip: Seconds.
    """

    rate: float
    round_trip: float


class Sample(Struct, frozen=True):
    """What one probe or one copy showed of the way to a host.

    Attributes:
        at: When.
        method: How it was copied; ``None`` for a probe.
        size: NAR bytes that were copied.
        sent: Bytes that went over the link.
        seconds: How long that took.
        round_trip: Seconds, as far as known then.
    """

    at: Time
    method: CopyMethod | None
    size: int
    sent: int
    seconds: float
    round_trip: float

    @property
    def rate(self) -> float:
        """Bytes a second: the link gave at least that."""
        return self.sent / max(self.seconds, 1e-6)


class Reboot(Enum):
    """Whether a host is rebooted once its system is committed."""

    NEVER = "never"
    IF_NEEDED = "if-needed"
    ALWAYS = "always"


class DeployRequest(Struct, frozen=True):
    """What a person asked for.

    Attributes:
        selectors: As typed; empty means every host.
        build: Overrides where hosts are built.
        verify: Whether verification runs.
        plan_only: Decide and report, and touch nothing.
        plan_builds: Whether a plan builds what it is about: it says more of that then.
        force: Deploy a host that is at its target already.
        cache: Whether what is known from earlier evaluations counts.
        emergency: The reason, for an emergency deployment.
        copy: Overrides the way of copying that would be chosen.
        unreachable: Overrides what to do with hosts that do not answer.
        specialisation: Overrides which specialisation of its system a host is to run.
        reboot: Whether hosts are rebooted afterwards.
        skip_preflight: The ids of checks that do not count.
        despite_hold: The id of the hold that this deployment may go past.
        systems: Systems that are to run on hosts, by their names: those are not evaluated.
        revision: The git revision that ``systems`` are of.
        back: To which system hosts go back, instead of to what the fleet says.
        catch_up: Whether hosts get what waited for them: ``systems``, where those are still there.
        title: What the run is called in the history; the goal's name, where it is ``None``.
        rollout: Who goes first, how many at a time: goes before what the fleet says.
        waves: The waves, where they are given: those of a run that goes on.
        all_must_build: Whether no host gets anything unless every host's system was built.
        fast: Whether what a host has already is not built, and its link not measured.
    """

    selectors: tuple[str, ...] = ()
    goal: Goal = Goal.SWITCH
    build: BuildSite | None = None
    verify: bool = True
    plan_only: bool = False
    plan_builds: bool = False
    force: bool = False
    cache: bool = True
    emergency: str | None = None
    copy: CopyMethod | None = None
    unreachable: WhenUnreachable | None = None
    specialisation: SpecialisePolicy | None = None
    reboot: Reboot = Reboot.NEVER
    skip_preflight: tuple[str, ...] = ()
    despite_hold: str | None = None
    systems: Mapping[str, Evaluated] = field(default_factory=dict)
    revision: str | None = None
    back: WayBack | None = None
    catch_up: bool = False
    title: str | None = None
    rollout: RolloutPolicy = field(default_factory=RolloutPolicy)
    waves: tuple[Wave, ...] = ()
    all_must_build: bool = False
    fast: bool = False

    @property
    def reboots(self) -> bool:
        """Whether hosts may be rebooted: into what is committed, and into nothing else."""
        return self.reboot is not Reboot.NEVER and self.goal.commits


class Run(Struct, frozen=True):
    """One run of the tool against the fleet.

    Attributes:
        number: Counts up for each fleet on this machine, from 1.
        folder: Absolute path of the run's folder: events, logs, reports.
        who: ``user@machine``.
        revision: The fleet's git revision, ``-dirty`` appended where it is; ``None`` outside git.
        title: What the history calls it.
    """

    number: int
    folder: str
    who: str
    revision: str | None
    started: Time
    title: str = ""

    def __post_init__(self) -> None:
        check_times(self.started)


class Before(Struct, frozen=True):
    """What a host was before a run changed it.

    Attributes:
        staged: Whether the run made it boot what it ran already, as a specialisation of that.
    """

    running: OutPath | None = None
    profile: OutPath | None = None
    boot_default: OutPath | None = None
    staged: bool = False


class HostResult(Struct, frozen=True):
    """A host's outcome and the seconds that it took.

    Attributes:
        before: What the host was; ``None`` where the run did not begin to change it.
        of: The class of equal machines that it is a member of.
    """

    outcome: Outcome
    seconds: float
    before: Before | None = None
    of: str | None = None


class Report(Struct, frozen=True):
    """The end of a run.

    Attributes:
        hosts: By name, in the inventory's order; every selected host is there.
        interrupted: Whether a person stopped it.
        evaluated: The hosts whose systems had to be evaluated.
        waves: In which they went, or would go: one where everybody goes at once.
    """

    run: Run
    goal: Goal
    plan_only: bool
    hosts: Mapping[str, HostResult]
    seconds: float
    interrupted: bool = False
    evaluated: tuple[str, ...] = ()
    waves: tuple[Wave, ...] = ()

    @property
    def exit_code(self) -> int:
        """The exit code of ``docs/exit-codes.md``."""
        if self.interrupted:
            return 130
        return exit_code(result.outcome for result in self.hosts.values())


def left_out(gone: Sequence[str]) -> str:
    """Say which hosts of a past run are none of the fleet's any more."""
    return f"left out, as the fleet does not have them any more: {listing(gone, MOST_NAMED)}"


class PastRun(Struct, frozen=True):
    """One line of the history.

    Attributes:
        started: ISO 8601, UTC.
        goal: The run's title.
        exit_code: ``None`` where the run never reported its end.
        hosts: Each host's outcome, by its name; of a run that did not end, of those that did.
        plan: Whether it was a plan: its outcomes are those that would have been.
        alive: Whether its process lives: then its end is still to come.
        resumable: Whether it was cut off or stopped, and ``run resume`` goes on with it.
        damaged: Whether its events cannot all be read.
    """

    number: int
    started: str
    who: str
    revision: str | None
    goal: str
    seconds: float | None
    exit_code: int | None
    hosts: Mapping[str, str]
    plan: bool = False
    alive: bool = False
    resumable: bool = False
    damaged: bool = False


class PastResult(Struct, frozen=True):
    """What became of one host in a past run.

    Attributes:
        outcome: The outcome's name.
        out_path: The system that was deployed.
        before: What the host was; ``None`` where the run did not change it, or that is not known.
    """

    outcome: str
    out_path: OutPath | None
    before: Before | None


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """Fold outcomes into one exit code.

    Returns:
        1 where a host failed, was rolled back or skipped; else 4 where every failure was a check
        that refused before anything was changed; else 3 where hosts are deferred; else 0.
    """
    codes = {_code(outcome) for outcome in outcomes}
    return next((code for code in (1, 4, 3) if code in codes), 0)


def _code(outcome: Outcome) -> int:
    match outcome:
        case Unchanged() | Deployed() | Completed():
            return 0
        case Deferred():
            return 3
        case Failed(problem=problem):
            return 4 if problem.refused else 1
        case RolledBack() | Skipped():
            return 1
        case _:
            assert_never(outcome)
