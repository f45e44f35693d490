"""What waits for unreachable hosts, as a table; what ``watch`` does, a line for each thing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from orchestrator.core.event import Event, HostFinished, Notice, RunStarted
from orchestrator.render.output import Colour, Output, clean
from orchestrator.render.plain import Renderer, finished, notice
from orchestrator.render.report import Cell, Column, ago, print_json, print_table
from orchestrator.runs.pending import Pending

_COLUMNS = (
    Column("host"),
    Column("system", flexible=True),
    Column("run", right=True),
    Column("since"),
    Column("expires"),
    Column("last try"),
)


def draw_pending(
    entries: Sequence[Pending], results: Output, words: Output, *, as_json: bool
) -> None:
    """Draw what waits."""
    if as_json:
        print_json(results, {entry.host: pending_json(entry) for entry in entries})
    elif entries:
        now = datetime.now(UTC)
        print_table(results, _COLUMNS, [_row(entry, now) for entry in entries])
    else:
        words.line("nothing is pending")


def _row(entry: Pending, now: datetime) -> tuple[str | Cell, ...]:
    return (
        entry.host,
        entry.system.out.short,
        str(entry.run),
        ago(entry.since, now),
        f"{entry.expires.astimezone():%Y-%m-%d %H:%M}",
        _last_try(entry, now),
    )


def _last_try(entry: Pending, now: datetime) -> str | Cell:
    if entry.problem is not None:
        return Cell(f"failed: {entry.problem}", Colour.BAD)
    if entry.last_try is None:
        return "none yet"
    return f"{ago(entry.last_try, now)}, {entry.tries} in all"


def pending_json(entry: Pending) -> dict[str, object]:
    """What waits for a host as JSON."""
    return {
        "drv": entry.system.drv.path,
        "out_path": entry.system.out.path,
        "goal": entry.goal.value,
        "specialisation": str(entry.specialisation) if entry.specialisation else None,
        "run": entry.run,
        "who": entry.who,
        "revision": entry.revision,
        "reason": entry.reason,
        "since": entry.since.isoformat(),
        "expires": entry.expires.isoformat(),
        "tries": entry.tries,
        "last_try": entry.last_try.isoformat() if entry.last_try else None,
        "problem": entry.problem,
    }


class WatchLines(Renderer):
    """Writes a line for each thing that happens, and none while nothing does: for a journal.

    Args:
        output: Where to.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._run = 0

    def handle(self, event: Event) -> None:
        """Write an event, where it is one that somebody looks for later."""
        match event:
            case RunStarted(run=run):
                self._run = run.number
            case Notice():
                self._output.line(notice(event))
            case HostFinished(host=host):
                said = clean(finished(event, plan=False))
                self._output.line(f"{host}: {said}, run {self._run}")
            case _:
                pass

    def close(self) -> None:
        """Nothing is held open."""
