"""Past runs, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from orchestrator.core.run import PastRun
from orchestrator.render.output import Output, clean
from orchestrator.render.tables import Column, duration, print_json, print_table

_COLUMNS = (
    Column("run", right=True),
    Column("started"),
    Column("who"),
    Column("goal"),
    Column("exit", right=True),
    Column("hosts", flexible=True),
    Column("time", right=True),
)


def draw_history(
    runs: Sequence[PastRun],
    notice: str | None,
    results: Output,
    words: Output,
    *,
    as_json: bool,
) -> None:
    """Draw runs, newest first.

    Args:
        runs: The runs.
        notice: What is wrong with the history's database.
        results: Standard output.
        words: Standard error.
        as_json: As JSON instead of a table.
    """
    if notice is not None:
        words.line(f"warning: {clean(notice)}")
    if as_json:
        print_json(results, [{**asdict(run), "hosts": dict(run.hosts)} for run in runs])
    else:
        print_table(results, _COLUMNS, [_row(run) for run in runs])
        if not all(run.kept for run in runs):
            words.line("* is not in the history's database: told by the run's folder")


def _row(run: PastRun) -> tuple[str, ...]:
    counts = Counter(outcome for _, outcome in run.hosts)
    return (
        str(run.number) if run.kept else f"*{run.number}",
        _started(run),
        run.who,
        run.goal,
        _exit(run),
        ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())),
        "" if run.seconds is None else duration(run.seconds),
    )


def _started(run: PastRun) -> str:
    try:
        return f"{datetime.fromisoformat(run.started).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError):  # of a damaged file
        return "unknown"


def _exit(run: PastRun) -> str:
    if run.exit_code is not None:
        return str(run.exit_code)
    return "goes on" if run.alive else "cut off"
