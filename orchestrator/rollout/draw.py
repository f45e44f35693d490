"""Where a rollout is: its waves, and each host."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from orchestrator.core.errors import UsageError
from orchestrator.core.rollout import RolloutStatus, Standing
from orchestrator.core.stored import plain
from orchestrator.render.event_json import to_json
from orchestrator.render.output import Colour, Output, clean, stopwatch
from orchestrator.render.report import Cell, Column, draw_report, print_json, print_table
from orchestrator.runs.model import RunRecord

_COLUMNS = (Column("wave"), Column("host"), Column("where"))

_TINTS: Mapping[str, Colour] = {
    "deployed": Colour.GOOD,
    "completed": Colour.GOOD,
    "unchanged": Colour.FAINT,
    "failed": Colour.BAD,
    "rolled_back": Colour.BAD,
    "unreached": Colour.BAD,
    "skipped": Colour.WARN,
    "deferred": Colour.WARN,
    "deploying": Colour.STRONG,
}


def draw_run(
    number: int, record: RunRecord, results: Output, words: Output, *, alive: bool, as_json: bool
) -> None:
    """Draw where a run is; where it has told its end, its report.

    Args:
        number: The run's.
        record: What it has told.
        results: Standard output.
        words: Standard error.
        alive: Whether the run's process lives.
        as_json: As JSON instead of a table.

    Raises:
        UsageError: It tells nothing.
    """
    status, finished = record.status, record.finished
    if record.damage is not None:
        words.line(f"warning: what run {number} left is damaged: {clean(record.damage)}")
    if as_json:
        print_json(results, _to_json(number, record, alive=alive))
    elif finished is not None:
        draw_report(finished.report, results, words)
        if status is not None and status.standing is Standing.STOPPED:
            words.line(f"run {number}: {_standing(status, alive=False)}")
    elif status is not None:
        _draw_waves(status, results)
        words.line(f"run {number}: {_standing(status, alive=alive)}")
    elif not alive and record.resumable:
        words.line(f"run {number}: it was cut off; to go on: orchestrator run resume {number}")
    else:
        raise UsageError(
            f"run {number} does not say how it ended",
            hint=f"what it logged: orchestrator run logs {number}",
        )


def _draw_waves(status: RolloutStatus, results: Output) -> None:
    rows = [
        (f"{number} {wave.name}", name, Cell(at.replace("_", " "), _TINTS.get(at)))
        for number, wave in enumerate(status.waves, 1)
        for name, at in wave.hosts.items()
    ]
    print_table(results, _COLUMNS, rows)


def _standing(status: RolloutStatus, *, alive: bool) -> str:
    why = f": {status.why}" if status.why else ""
    if not alive and not status.has_ended:
        return f"it was cut off; to go on: orchestrator run resume {status.run}"
    if alive and status.until is not None:
        left = (status.until - datetime.now(UTC)).total_seconds()
        return f"paused between two waves, for another {stopwatch(max(left, 0))}"
    return f"{status.standing.value}{why}"


def _to_json(number: int, record: RunRecord, *, alive: bool) -> dict[str, object]:
    status, finished = record.status, record.finished
    return {
        "run": number,
        "alive": alive,
        "cut_off": not alive and finished is None and not (status and status.has_ended),
        "standing": status.standing.value if status else None,
        "why": status.why if status else None,
        "until": status.until.isoformat() if status and status.until else None,
        "waves": plain(status.waves) if status else [],
        "report": to_json(finished) if finished else None,
    }
