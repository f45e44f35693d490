"""How a host's deployment ended. The union is closed: match it and ``assert_never``."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.core.changed import Foreseen, SystemChange
from orchestrator.core.plan import Goal
from orchestrator.core.risk import RiskChange
from orchestrator.core.store import OutPath
from orchestrator.core.stored import snake


class _Outcome(Struct, frozen=True, tag_field="outcome", tag=snake):
    """What all have in common: in files, the name of the class tells which one it is."""

    reason: str


class Unchanged(_Outcome, frozen=True):
    """The host was at its target already; nothing was done.

    Attributes:
        specialisation: The one that runs, by its name; empty where the system itself does.
    """

    out_path: OutPath
    warnings: tuple[str, ...] = ()
    specialisation: str = ""


class Deployed(_Outcome, frozen=True):
    """The host reached a goal that changes what it runs or boots, and that was proved.

    In a plan: it would.

    Attributes:
        reboot_required: What takes effect at the host's next boot only, such as ``kernel``.
        changed: Packages, units and size; ``None`` where nothing of it is known.
        specialisation: The one that runs, by its name; empty where the system itself does.
        risk: How its risk changed; ``None`` where it was not assessed.
        foreseen: In a plan, what else is known of the change.
    """

    out_path: OutPath
    goal: Goal
    warnings: tuple[str, ...] = ()
    reboot_required: tuple[str, ...] = ()
    changed: SystemChange | None = None
    specialisation: str = ""
    risk: RiskChange | None = None
    foreseen: Foreseen | None = None


class Completed(_Outcome, frozen=True):
    """The host reached a goal that leaves it running what it ran: build, push, dry-activate."""

    out_path: OutPath
    goal: Goal


class Deferred(_Outcome, frozen=True):
    """The host was unreachable; its system waits for it."""

    out_path: OutPath | None = None


class RolledBack(_Outcome, frozen=True):
    """A step failed after activation began, and the host is proved to run what it ran before."""

    out_path: OutPath
    problem: Problem


class Failed(_Outcome, frozen=True):
    """A step failed. ``problem.host_state`` says what is known of the host."""

    problem: Problem
    out_path: OutPath | None = None


class Unreached(Failed, frozen=True):
    """The host's guard rolled back and proved what runs, but nobody has got in since."""


class Skipped(_Outcome, frozen=True):
    """The host was not tried, because of something that is not its own fault."""


class Problem(Struct, frozen=True):
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


def outcome_names(*kinds: type[Outcome]) -> frozenset[str]:
    """The names of several kinds of outcome."""
    return frozenset(snake(kind.__name__) for kind in kinds)


def outcome_name(outcome: Outcome) -> str:
    """The outcome's name as reports spell it, such as ``rolled_back``."""
    return snake(type(outcome).__name__)
