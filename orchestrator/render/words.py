"""How outcomes and durations are said to a person."""

from __future__ import annotations

from typing import assert_never

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
    Unreached,
    outcome_name,
)
from orchestrator.render.output import Colour


def outcome_word(outcome: Outcome, *, plan: bool = False) -> str:
    """Name an outcome, such as ``rolled back``; in a plan, what would come of the host."""
    if plan and isinstance(outcome, Deployed):
        return f"would {outcome.goal.value}"
    if plan and isinstance(outcome, Completed):
        return f"would {outcome.goal.value}"
    if isinstance(outcome, Unreached):
        return "rolled back, not yet reached"
    return outcome_name(outcome).replace("_", " ")


def colour(outcome: Outcome) -> Colour:
    """Choose an outcome's colour."""
    match outcome:
        case Deployed() | Completed():
            return Colour.GOOD
        case Unchanged():
            return Colour.FAINT
        case Deferred() | Skipped():
            return Colour.WARN
        case Failed() | RolledBack():
            return Colour.BAD
        case _:
            assert_never(outcome)


def problem_of(outcome: Outcome) -> Problem | None:
    """Find why an outcome is a failure; ``None`` where it is none."""
    return outcome.problem if isinstance(outcome, Failed | RolledBack) else None


def duration(seconds: float) -> str:
    """Say a duration in few characters: ``0.2 s``, ``12 s``, ``3:07``, ``1:02:07``."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return stopwatch(seconds)


def stopwatch(seconds: float) -> str:
    """Say a running time so that it keeps its width: ``0:07``, ``3:07``, ``1:02:07``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
