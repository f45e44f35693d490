"""What hosts answered, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from orchestrator.core.answer import Answer
from orchestrator.core.state import HostState
from orchestrator.core.words import ago
from orchestrator.host.draw.standing import standing, standing_json
from orchestrator.render.errors import draw_step_error
from orchestrator.render.output import Colour, Output
from orchestrator.render.tables import Cell, Column, print_json, print_table
from orchestrator.render.text import clean

_STATUS = (
    Column("host"),
    Column("runs", flexible=True),
    Column("boots"),
    Column("deployed"),
    Column("units"),
)
_PING = (Column("host"), Column("answer", flexible=True), Column("time", right=True))


def draw_status(
    answers: Sequence[Answer], results: Output, words: Output, *, as_json: bool
) -> None:
    """Draw what each host runs, and why some do not say."""
    if as_json:
        print_json(results, {answer.host.name: _to_json(answer) for answer in answers})
        return
    now = datetime.now(UTC)
    print_table(results, _STATUS, [_status_row(answer, now) for answer in answers])
    for answer in answers:
        if answer.state is not None:
            if name := answer.state.another_than(answer.host.name):
                text = f"this machine was deployed as {name}: is its address wrong?"
                results.line(f"{answer.host.name}: {results.paint(clean(text), Colour.BAD)}")
            for text, colour in standing(answer.state, now):
                results.line(f"{answer.host.name}: {results.paint(clean(text), colour)}")
    _draw_errors(answers, words)


def draw_ping(answers: Sequence[Answer], results: Output, words: Output, *, as_json: bool) -> None:
    """Draw which hosts answer."""
    if as_json:
        print_json(results, {answer.host.name: _to_json(answer) for answer in answers})
        return
    rows = [
        (
            answer.host.name,
            Cell("up", Colour.GOOD)
            if answer.error is None
            else Cell(answer.error.message, Colour.BAD),
            f"{answer.seconds * 1000:.0f} ms",
        )
        for answer in answers
    ]
    print_table(results, _PING, rows)
    _draw_errors(answers, words)


def _status_row(answer: Answer, now: datetime) -> tuple[str | Cell, ...]:
    state = answer.state
    if state is None:
        return (answer.host.name, Cell("no answer", Colour.BAD), "", "", "")
    return (
        answer.host.name,
        state.running.short if state.running else Cell("no NixOS system", Colour.BAD),
        _boots(state),
        _deployed(state, now),
        Cell(f"{len(state.failed_units)} failed", Colour.WARN) if state.failed_units else "ok",
    )


def _boots(state: HostState) -> str | Cell:
    if state.running == state.profile == state.boot_default:
        return "the same"
    other = state.boot_default.short if state.boot_default else "nothing known"
    return Cell(other, Colour.WARN)


def _deployed(state: HostState, now: datetime) -> str | Cell:
    record = state.record
    if record is None:
        return "not by us"
    text = f"{ago(record.at, now)} by {record.who}, run {record.run}"
    if record.out_path != state.running:
        return Cell(f"{text}, but runs another", Colour.WARN)
    return text


def _draw_errors(answers: Sequence[Answer], words: Output) -> None:
    for answer in answers:
        if answer.error is not None:
            draw_step_error(answer.host.name, answer.error, words)


def _to_json(answer: Answer) -> dict[str, object]:
    state, error = answer.state, answer.error
    if state is None:
        assert error is not None
        return {"reachable": False, "message": error.message, "hint": error.hint}
    record = state.record
    return {
        "reachable": True,
        "seconds": round(answer.seconds, 3),
        "machine_id": state.machine_id,
        "deployed_as": state.deployed_as or None,
        "running": _text(state.running),
        "profile": _text(state.profile),
        "boot_default": _text(state.boot_default),
        "boot_source": state.boot_source.value,
        "booted": _text(state.booted),
        "failed_units": list(state.failed_units),
        **standing_json(state),
        "record": None
        if record is None
        else {
            "run": record.run,
            "who": record.who,
            "revision": record.revision,
            "out_path": record.out_path.path,
            "at": record.at.isoformat(),
            "emergency": record.emergency,
            "skipped": list(record.skipped),
        },
    }


def _text(path: object) -> str | None:
    return None if path is None else str(path)
