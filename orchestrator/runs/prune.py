"""Which runs are removed, and which are needed still."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestrator.core.host import Fleet
from orchestrator.core.run import PastRun
from orchestrator.runs.pending import PendingSystems, Tell
from orchestrator.runs.store import Removed, Runs

LAST_DEPLOYMENTS = 2
"""Of each host: a rollback leads to what it ran before the last one, and wants to know of that."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Which runs are to go: those beyond every limit that is given.

    Attributes:
        keep: How many of the newest stay.
        older_than: Seconds; younger runs stay.
        unfinished: Whether runs that could be resumed, or are damaged, go, too.
    """

    keep: int | None
    older_than: float | None
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of the runs beyond the limits.

    Attributes:
        removed: Those that are gone, or would be; newest first.
        kept: Why others are there still, by their numbers.
        failed: Those that could not be removed.
    """

    removed: tuple[Removed, ...]
    kept: Mapping[int, str]
    failed: tuple[Removed, ...] = ()

    @property
    def size(self) -> int:
        """The bytes of those that were removed."""
        return sum(one.size for one in self.removed)


def needed(runs: Runs, fleet: Fleet, state: Path, tell: Tell) -> dict[int, str]:
    """Find the runs that something else on this machine needs, and why.

    Args:
        runs: The fleet's.
        fleet: Its hosts' deployments count.
        state: The fleet's state folder.
        tell: Takes a sentence about each pending system that cannot be read.
    """
    found: dict[int, str] = {}
    for host, numbers in runs.deployments().items():
        if host in fleet.hosts:
            for number in numbers[:LAST_DEPLOYMENTS]:
                found.setdefault(number, f"among the last deployments of {host}, for a rollback")
    for one in PendingSystems(state, tell).all():
        found[one.run] = f"its system is pending for {one.host}"
    return found


def to_remove(
    past: list[PastRun], limits: Limits, needed: Mapping[int, str], now: datetime
) -> tuple[list[int], dict[int, str]]:
    """Decide which runs go.

    Args:
        past: All runs, newest first.
        limits: Which are to go.
        needed: Why some must stay.
        now: The time.

    Returns:
        The numbers of those that go; and why others stay that are beyond the limits.
    """
    go, stay = [], {}
    for place, run in enumerate(past):
        if place < (limits.keep or 0) or not _is_old(run, limits.older_than, now):
            continue
        if (why := _why_not(run, limits, needed, is_newest=place == 0)) is None:
            go.append(run.number)
        else:
            stay[run.number] = why
    return go, stay


def prune_runs(
    runs: Runs, limits: Limits, needed: Mapping[int, str], *, dry_run: bool = False
) -> Pruned:
    """Remove runs; one that began meanwhile stays."""
    go, stay = to_remove(runs.recent(len(runs.numbers())), limits, needed, datetime.now(UTC))
    if dry_run:
        return Pruned(tuple(Removed(one, runs.folder(one).size()) for one in go), stay)
    runs.sweep()
    done = [runs.remove(number) for number in go]
    return Pruned(
        tuple(one for one in done if one.why_not is None),
        stay,
        tuple(one for one in done if one.why_not is not None),
    )


def _is_old(run: PastRun, seconds: float | None, now: datetime) -> bool:
    if seconds is None:
        return True
    return now - datetime.fromisoformat(run.started) > timedelta(seconds=seconds)


def _why_not(
    run: PastRun, limits: Limits, needed: Mapping[int, str], *, is_newest: bool
) -> str | None:
    if run.alive:
        return "at work"
    if is_newest:
        return "the newest: the next run's number comes from it"
    if run.damaged and not limits.unfinished:
        return "damaged: what it deployed is not known; --unfinished removes it"
    if run.resumable and not limits.unfinished:
        return "could be resumed; --unfinished removes it"
    return needed.get(run.number)
