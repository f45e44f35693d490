"""What stands on a host beside what it runs: a hold, a lock, an attempt that is worth a word."""

from __future__ import annotations

from datetime import datetime

from orchestrator.core.guard import Attempt, AttemptState
from orchestrator.core.lock import Hold, Lock
from orchestrator.core.state import HostState
from orchestrator.core.words import ago
from orchestrator.render.output import Colour


def standing_json(state: HostState) -> dict[str, object]:
    """Lock, hold and last attempt as JSON; each ``None`` where there is none."""
    return {
        "lock": lock_json(state.lock),
        "hold": hold_json(state.hold),
        "attempt": _attempt_json(state.attempt),
    }


def lock_json(lock: Lock | None) -> dict[str, object] | None:
    """A lock as JSON; ``expires_in`` is not positive where it counts no more."""
    if lock is None:
        return None
    return {
        "token": lock.token,
        "who": lock.who,
        "run": lock.run,
        "reason": lock.reason,
        "since": _iso(lock.since),
        "expires_in": lock.expires_in,
    }


def hold_json(hold: Hold | None) -> dict[str, object] | None:
    """A hold as JSON."""
    if hold is None:
        return None
    return {"id": hold.id, "who": hold.who, "reason": hold.reason, "since": _iso(hold.since)}


def standing(state: HostState, now: datetime) -> list[tuple[str, Colour]]:
    """Say what stands there, a sentence each: nothing where all is as usual."""
    said = []
    if state.hold:
        said.append((f"held {state.hold.in_words(now)} ({state.hold.id})", Colour.WARN))
    if state.lock and state.lock.is_live:
        said.append((f"locked {state.lock.in_words(now)}", Colour.WARN))
    if state.attempt and (words := _attempt_words(state.attempt, now)):
        stuck = state.attempt.state is AttemptState.STUCK
        said.append((words, Colour.BAD if stuck else Colour.WARN))
    return said


def _attempt_words(attempt: Attempt, now: datetime) -> str | None:
    whose = f"run {attempt.run} of {attempt.who}"
    if attempt.state.in_flight:
        left = attempt.seconds_left
        end = f"; it goes back by itself in {left} s" if left is not None else ""
        if attempt.guard_gone:
            end = "; its guard is gone, and nothing goes on until the next deployment settles it"
        return f"being changed by {whose}: {attempt.state.value}{end}"
    when = f" {ago(attempt.ended, now)}" if attempt.ended else ""
    why = f": {attempt.why}" if attempt.why else ""
    if attempt.unreached:
        return f"{whose} was rolled back{when}, and not reached before this{why}"
    if attempt.state is AttemptState.RETURNED:
        return f"{whose} went back{when}{why}"
    if attempt.state is AttemptState.STUCK:
        return f"{whose} could not go back{when}{why}"
    return f"{whose} ended{when}{why}" if why else None


def _attempt_json(attempt: Attempt | None) -> dict[str, object] | None:
    if attempt is None:
        return None
    return {
        "token": attempt.token,
        "state": attempt.state.value,
        "goal": attempt.goal.value,
        "target": attempt.target.path,
        "run": attempt.run,
        "who": attempt.who,
        "revision": attempt.revision,
        "emergency": attempt.emergency,
        "skipped": list(attempt.skipped),
        "activation": attempt.activation,
        "why": attempt.why,
        "reached": attempt.reached,
        "guard_gone": attempt.guard_gone,
        "seconds_left": None if attempt.guard_gone else attempt.seconds_left,
        "began": _iso(attempt.began),
        "ended": _iso(attempt.ended),
    }


def _iso(when: datetime | None) -> str | None:
    return when.isoformat() if when else None
