"""What waits for a host, once the host has answered: wanted no more, delivered, or not yet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.core.errors import StepError
from orchestrator.core.outcome import Deployed, Failed, Outcome, RolledBack, Skipped, Unchanged
from orchestrator.core.state import HostState
from orchestrator.core.words import ago
from orchestrator.deploy.work import HostWork

if TYPE_CHECKING:
    from orchestrator.core.pending import Pending
    from orchestrator.runs.pending import PendingSystems

UNTOUCHED = frozenset({"wait", "connect", "lock", "preflight", "copy"})
"""Steps whose failure may pass by itself: the network's, another deployer's, a full disk's."""


def overtaken(work: HostWork, state: HostState | None) -> Unchanged | None:
    """Find whether what a catch-up brings is wanted no more, now that the host has answered."""
    if state is None or not is_caught_up(work):
        return None
    pending = pending_of(work)
    entry = pending.of(work.host.name)
    out = state.running or work.session.request.systems[work.host.name].out
    if entry is None:
        return Unchanged("nothing waits for it any more", out)
    if not entry.is_overtaken(state):
        return None
    pending.drop(entry)
    assert state.record is not None
    record, now = state.record, datetime.now(UTC)
    return Unchanged(
        f"what waited for it is superseded: run {record.run} of {record.who} deployed it "
        f"{ago(record.at, now)}, and what waited is of {ago(entry.since, now)}",
        out,
    )


def settle(work: HostWork, outcome: Outcome) -> None:
    """Note what a host's end means for the system that waits for it, where one does."""
    request = work.session.request
    # Nearly always nothing waits: then nothing is imported for it.
    file = work.session.setup.state / "pending" / f"{work.host.name}.json"
    if request.plan_only or not request.goal.commits or not file.exists():
        return
    pending = pending_of(work)
    entry = pending.of(work.host.name)
    if entry is None:
        return
    try:
        match outcome:
            case Deployed(out_path=out) | Unchanged(out_path=out):
                if entry.is_superseded_by(work.session.run, request, out):
                    pending.drop(entry)
            case Failed() | RolledBack() if request.catch_up and not _stopped(work):
                _note_failure(pending, entry, outcome)
            case _:
                return
    except StepError as error:
        work.notice(error.message, warning=True)


def withdraw(work: HostWork, why: str) -> Skipped:
    """Drop what this run has wait for a host: the run's systems are not wanted any more.

    Args:
        work: The share of the run of a host that was deferred.
        why: For a person.
    """
    pending = pending_of(work)
    entry, run = pending.of(work.host.name), work.session.run
    try:
        if entry is not None and (entry.run, entry.who) == (run.number, run.who):
            pending.drop(entry)
    except StepError as error:
        return Skipped(f"absent; what waits for it could not be dropped: {error.message}")
    return Skipped(f"absent; what was to wait for it is dropped: {why}")


def _stopped(work: HostWork) -> bool:
    """Whether a person ended the run: then it may be no fault of the system's."""
    return work.session.interrupt.wished


def _note_failure(pending: PendingSystems, entry: Pending, outcome: Failed | RolledBack) -> None:
    passes = outcome.problem.refused or outcome.problem.step in UNTOUCHED
    pending.change(
        entry,
        tries=entry.tries + 1,
        last_try=datetime.now(UTC),
        problem=None if passes and isinstance(outcome, Failed) else outcome.reason,
    )


def is_caught_up(work: HostWork) -> bool:
    """Whether the host is to get the very system that waits for it."""
    request = work.session.request
    return request.catch_up and work.host.name in request.systems


def pending_of(work: HostWork) -> PendingSystems:
    """The fleet's systems that wait; what is wrong with a file is told as a warning."""
    from orchestrator.runs.pending import PendingSystems

    return PendingSystems(work.session.setup.state, lambda text: work.notice(text, warning=True))
