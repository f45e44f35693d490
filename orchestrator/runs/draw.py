"""Past runs as a table, a run's log, and what was pruned."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from orchestrator.core.outcome import Deployed, outcome_names
from orchestrator.core.run import PastRun
from orchestrator.core.stored import DamagedError, plain
from orchestrator.core.units import listing, size_text
from orchestrator.render.output import Output, clean
from orchestrator.render.report import Column, duration, print_json, print_table
from orchestrator.runs.model import LoggedLine
from orchestrator.runs.prune import Pruned

_COLUMNS = (
    Column("run", right=True),
    Column("started"),
    Column("who"),
    Column("what"),
    Column("exit", right=True),
    Column("hosts", flexible=True),
    Column("time", right=True),
)
_NAMED = 12
"""Numbers of runs that a line names."""


def draw_runs(runs: Sequence[PastRun], results: Output, *, as_json: bool) -> None:
    """Draw runs, newest first."""
    if as_json:
        print_json(results, plain(runs))
    else:
        print_table(results, _COLUMNS, [_row(run) for run in runs])


def _row(run: PastRun) -> tuple[str, ...]:
    counts = Counter[str]()
    for outcome, count in Counter(run.hosts.values()).items():
        counts[_word(run, outcome)] += count
    return (
        str(run.number),
        _started(run),
        run.who,
        run.goal,
        _exit(run),
        ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())),
        "" if run.seconds is None else duration(run.seconds),
    )


def _word(run: PastRun, outcome: str) -> str:
    """Name an outcome: in a plan, what would come of the host."""
    if run.plan and outcome in outcome_names(Deployed):
        return "would deploy"
    if run.plan and outcome == "completed":
        return f"would {run.goal.removeprefix('plan ')}"
    return outcome.replace("_", " ")


def _started(run: PastRun) -> str:
    try:
        return f"{datetime.fromisoformat(run.started).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError):  # of a damaged file
        return "unknown"


def _exit(run: PastRun) -> str:
    if run.exit_code is not None:
        return str(run.exit_code)
    return "at work" if run.alive else "cut off"


def draw_log(
    lines: Iterable[LoggedLine],
    host: str | None,
    last: int | None,
    results: Output,
    *,
    as_json: bool,
) -> str | None:
    """Print a log; a line of JSON for each of its lines, where that is wanted.

    Args:
        lines: The log.
        host: Whose lines; ``None`` is everybody's.
        last: How many of the last; ``None`` is all.
        results: Standard output.
        as_json: As JSON.

    Returns:
        Why it ends where it ends, where it is damaged.
    """
    damage: list[str] = []
    wanted = (line for line in _until_damaged(lines, damage) if host is None or line.host == host)
    for line in wanted if last is None else deque(wanted, maxlen=last):
        if as_json:
            results.line(json.dumps(plain(line)))
        else:
            whose = "" if host is not None else f"{line.host or '-'} "
            results.line(clean(f"{line.time} {whose}{line.text}"))
    return damage[0] if damage else None


def _until_damaged(lines: Iterable[LoggedLine], damage: list[str]) -> Iterator[LoggedLine]:
    try:
        yield from lines
    except DamagedError as error:
        damage.append(str(error))


def draw_pruned(
    pruned: Pruned, results: Output, words: Output, *, dry_run: bool, as_json: bool
) -> None:
    """Say what was removed, and what was not."""
    if as_json:
        print_json(results, {"dry_run": dry_run, "bytes": pruned.size, **plain(pruned)})
        return
    numbers = [str(one.number) for one in pruned.removed]
    verb = "would remove" if dry_run else "removed"
    what = f"{len(numbers)} run{'' if len(numbers) == 1 else 's'}"
    named = f": {listing(numbers, _NAMED)}" if numbers else ""
    results.line(f"{verb} {what}, {size_text(pruned.size)}{named}")
    for number, why in pruned.kept.items():
        words.line(f"kept run {number}: {clean(why)}")
    for one in pruned.failed:
        words.line(f"error: run {one.number} was not removed: {clean(one.why_not or '')}")
