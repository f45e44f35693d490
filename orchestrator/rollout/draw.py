"""Where a rollout is: its waves, and each host."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from orchestrator.core.rollout import RolloutStatus
from orchestrator.render.output import Colour, Output, stopwatch
from orchestrator.render.tables import Cell, Column, print_json, print_table

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


def draw_rollout(
    status: RolloutStatus, results: Output, words: Output, *, alive: bool, as_json: bool
) -> None:
    """Draw it.

    Args:
        status: What the run wrote down last.
        results: Standard output.
        words: Standard error.
        alive: Whether the run's process lives.
        as_json: As JSON instead of a table.
    """
    if as_json:
        print_json(results, _to_json(status, alive=alive))
        return
    rows = [
        (f"{number} {wave.name}", name, Cell(at.replace("_", " "), _TINTS.get(at)))
        for number, wave in enumerate(status.waves, 1)
        for name, at in wave.hosts.items()
    ]
    print_table(results, _COLUMNS, rows)
    words.line(f"run {status.run}: {_standing(status, alive=alive)}")


def _standing(status: RolloutStatus, *, alive: bool) -> str:
    why = f": {status.why}" if status.why else ""
    if not alive and not status.has_ended:
        return f"it was cut off; to go on: orchestrator run resume {status.run}"
    if alive and status.until is not None:
        left = (status.until - datetime.now(UTC)).total_seconds()
        return f"paused between two waves, for another {stopwatch(max(left, 0))}"
    return f"{status.standing.value}{why}"


def _to_json(status: RolloutStatus, *, alive: bool) -> dict[str, object]:
    return {
        "run": status.run,
        "alive": alive,
        "cut_off": not alive and not status.has_ended,
        "standing": status.standing.value,
        "why": status.why,
        "until": status.until.isoformat() if status.until else None,
        "waves": [
            {"name": wave.name, "standing": wave.standing.value, "hosts": dict(wave.hosts)}
            for wave in status.waves
        ],
    }
