"""How a host's deployment ended. The union is closed: match it and ``assert_never``."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.changed import SystemChange
from orchestrator.core.plan import Goal
from orchestrator.core.store import OutPath


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The host was at its target already; nothing was done."""

    reason: str
    out_path: OutPath


@dataclass(frozen=True, slots=True)
class Deployed:
    """The host reached a goal that changes what it runs or boots, and that was proved.

    In a plan: it would.

    Attributes:
        reboot_required: What takes effect at the host's next boot only, such as ``kernel``.
        changed: Packages, units and size; ``None`` where nothing of it is known.
    """

    reason: str
    out_path: OutPath
    goal: Goal
    warnings: tuple[str, ...] = ()
    reboot_required: tuple[str, ...] = ()
    changed: SystemChange | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    """The host reached a goal that leaves it running what it ran: build, push, dry-activate."""

    reason: str
    out_path: OutPath
    goal: Goal


@dataclass(frozen=True, slots=True)
class Deferred:
    """The host was absent; its system waits for it."""

    reason: str
    out_path: OutPath | None = None


@dataclass(frozen=True, slots=True)
class RolledBack:
    """A step failed after activation began, and the host is proved to run what it ran before."""

    reason: str
    out_path: OutPath
    problem: Problem


@dataclass(frozen=True, slots=True)
class Failed:
    """A step failed. ``problem.host_state`` says what is known of the host."""

    reason: str
    problem: Problem
    out_path: OutPath | None = None


@dataclass(frozen=True, slots=True)
class Unreached(Failed):
    """The host's guard went back and proved what runs, but nobody has got in since."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """The host was not tried, because of something that is not its own fault."""

    reason: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a step failed, and what a person needs to go on.

    Attributes:
        step: The phase in which it failed, such as ``evaluate`` or ``activate``.
        message: The cause, in one sentence.
        hint: What to do next.
        command: The command to repeat it by hand.
        stderr: The last lines of what the command said.
        host_state: What the host runs now, in words, where it may have been touched.
        refused: Whether a check refused before anything was changed.
        checks: The names of the checks that refused, where they have some.
        lost: Whether nobody gets into the host any more, after a boot or a change: no rollout goes
            on over that.
    """

    step: str
    message: str
    hint: str | None = None
    command: str | None = None
    stderr: tuple[str, ...] = ()
    host_state: str | None = None
    refused: bool = False
    checks: tuple[str, ...] = ()
    lost: bool = False


Outcome = Unchanged | Deployed | Completed | Deferred | RolledBack | Failed | Unreached | Skipped

NAMES: dict[type[Outcome], str] = {
    Unchanged: "unchanged",
    Deployed: "deployed",
    Completed: "completed",
    Deferred: "deferred",
    RolledBack: "rolled_back",
    Failed: "failed",
    Unreached: "unreached",
    Skipped: "skipped",
}


def outcome_names(*kinds: type[Outcome]) -> frozenset[str]:
    """The names of several kinds of outcome."""
    return frozenset(NAMES[kind] for kind in kinds)


def outcome_name(outcome: Outcome) -> str:
    """The outcome's name as reports spell it, such as ``rolled_back``."""
    return NAMES[type(outcome)]
