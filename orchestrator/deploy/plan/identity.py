"""What one run has left on a machine, by the words of the machine."""

from __future__ import annotations

from orchestrator.core.guard import Attempt, AttemptState
from orchestrator.core.state import HostState
from orchestrator.core.token import host_of, run_of


def marks_of(state: HostState, run: str) -> tuple[tuple[str, str], ...]:
    """What one run has left on a machine: tokens that name a host, and what is done there by each.

    Args:
        state: The machine's answer.
        run: Names the run.
    """
    found: dict[str, str] = {}
    if state.record is not None:
        found[state.record.token] = "deployed it"
    if state.attempt is not None:
        found[state.attempt.token] = _did(state.attempt)
    if state.lock is not None:
        found.setdefault(state.lock.token, "is at it")
    return tuple(
        (token, did) for token, did in found.items() if run_of(token) == run and host_of(token)
    )


def _did(attempt: Attempt) -> str:
    match attempt.state:
        case AttemptState.DONE:
            return "deployed it"
        case AttemptState.RETURNED:
            return "tried to deploy it, and took that back"
        case AttemptState.STUCK:
            return "tried to deploy it, and could not take that back"
        case _:
            return "is deploying it"
