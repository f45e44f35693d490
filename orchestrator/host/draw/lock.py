"""Locks and holds: who is at a host, and who keeps everybody else from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from orchestrator.core.answer import Answer, HoldAnswer
from orchestrator.core.lock import Hold, Lock
from orchestrator.core.state import HostState
from orchestrator.host.draw.standing import hold_json, lock_json, standing
from orchestrator.render.errors import draw_step_error
from orchestrator.render.output import Colour, Output
from orchestrator.render.tables import Cell, Column, print_json, print_table
from orchestrator.render.text import clean

_BUSY = Colour.WARN
_COLUMNS = (Column("host"), Column("locked", flexible=True), Column("held"))


def draw_locks(answers: Sequence[Answer], results: Output, words: Output, *, as_json: bool) -> None:
    """Draw each host's lock and hold, and why some do not say."""
    if as_json:
        print_json(results, {answer.host.name: _to_json(answer) for answer in answers})
        return
    now = datetime.now(UTC)
    print_table(results, _COLUMNS, [_row(answer, now) for answer in answers])
    for answer in answers:
        if answer.error is not None:
            draw_step_error(answer.host.name, answer.error, words)


def _lock_words(lock: Lock | None, now: datetime) -> str | Cell:
    """Say whose a lock is; one that counts no more is nobody's."""
    if lock is None or (lock.run is None and not lock.is_live):
        return "no"
    if lock.is_live:
        return Cell(f"{lock.in_words(now)}; renewed, else free in {lock.expires_in:.0f} s", _BUSY)
    return Cell(f"no; its deployer is gone: {lock.in_words(now)}", Colour.FAINT)


def _hold_words(hold: Hold | None, now: datetime) -> str | Cell:
    """Say who holds a host, and its id."""
    return Cell(f"{hold.in_words(now)} ({hold.id})", _BUSY) if hold else "no"


def _row(answer: Answer, now: datetime) -> tuple[str | Cell, ...]:
    state = answer.state
    if state is None:
        return (answer.host.name, Cell("no answer", Colour.BAD), "")
    return (answer.host.name, _lock_words(state.lock, now), _hold_words(state.hold, now))


def _to_json(answer: Answer) -> dict[str, object]:
    state, error = answer.state, answer.error
    if state is None:
        assert error is not None
        return {"reachable": False, "message": error.message, "hint": error.hint}
    return {"reachable": True, "lock": lock_json(state.lock), "hold": hold_json(state.hold)}


def draw_lock(name: str, state: HostState, words: Output) -> None:
    """Say whose a host's lock is, and what is done there, before it is taken away."""
    said = [text for text, _ in standing(state, datetime.now(UTC))]
    if state.lock is None or not state.lock.is_live:
        said = ["nobody has its lock"]
    for text in said:
        words.line(clean(f"{name}: {text}"))


def draw_stolen(name: str, lock: Lock, words: Output, *, done: bool) -> None:
    """Say that a lock was taken away, or that its holder was done."""
    taken = f"its lock was taken away from {lock.who}, who is told"
    words.line(clean(f"{name}: {taken if done else 'nobody has its lock by now'}"))


def draw_placed(
    answers: Sequence[HoldAnswer], results: Output, words: Output, *, as_json: bool
) -> None:
    """Draw on which hosts a hold was placed, and which were held already."""
    _draw_holds(answers, _placed, results, words, as_json=as_json)


def draw_lifted(
    answers: Sequence[HoldAnswer], results: Output, words: Output, *, as_json: bool
) -> None:
    """Draw which holds were lifted."""
    _draw_holds(answers, _lifted, results, words, as_json=as_json)


def _draw_holds(
    answers: Sequence[HoldAnswer],
    say: Callable[[HoldAnswer, datetime], str],
    results: Output,
    words: Output,
    *,
    as_json: bool,
) -> None:
    if as_json:
        print_json(results, {answer.host.name: _hold_answer_json(answer) for answer in answers})
        return
    now = datetime.now(UTC)
    for answer in answers:
        if answer.error is not None:
            draw_step_error(answer.host.name, answer.error, words)
        else:
            results.line(clean(f"{answer.host.name}: {say(answer, now)}"))


def _placed(answer: HoldAnswer, now: datetime) -> str:
    hold, name = answer.hold, answer.host.name
    assert hold is not None
    if not answer.done:
        return f"held already {hold.in_words(now)} ({hold.id}); nothing was changed"
    said = f'held ({hold.id}): "{hold.reason}"; lift it: orchestrator release {name}'
    if answer.lock is None:
        return said
    return (
        f"{said}. A deployment is at it {answer.lock.in_words(now)}: it stops before it changes "
        "the host, or goes on if it has begun to"
    )


def _lifted(answer: HoldAnswer, now: datetime) -> str:
    return f"lifted: held {answer.hold.in_words(now)}" if answer.hold else "was not held"


def _hold_answer_json(answer: HoldAnswer) -> dict[str, object]:
    if answer.error is not None:
        return {"reachable": False, "message": answer.error.message, "hint": answer.error.hint}
    return {
        "reachable": True,
        "changed": answer.done,
        "hold": hold_json(answer.hold),
        "lock": lock_json(answer.lock),
    }
