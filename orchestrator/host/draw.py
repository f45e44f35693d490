"""What hosts answered, drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from orchestrator.core.claims import Hold, Lock
from orchestrator.core.state import Attempt, AttemptState, HostState
from orchestrator.core.units import ago
from orchestrator.host.specialisations import boots_in_words, runs_in_words, unexpected_system
from orchestrator.host.status import HoldAnswer, HostAnswer
from orchestrator.render.output import Colour, Output, clean
from orchestrator.render.report import Cell, Column, draw_step_error, print_json, print_table


def standing_json(state: HostState) -> dict[str, object]:
    """Lock, hold and last attempt as JSON; each ``None`` where there is none."""
    return {
        "lock": lock_json(state.lock),
        "hold": hold_json(state.hold),
        "attempt": _attempt_json(state.attempt),
    }


def lock_json(lock: Lock | None) -> dict[str, object] | None:
    """A lock as JSON; ``expires_in`` is not positive where it counts no more."""
    if lock is None:
        return None
    return {
        "token": lock.token,
        "who": lock.who,
        "run": lock.run,
        "reason": lock.reason,
        "since": _iso(lock.since),
        "expires_in": lock.expires_in,
    }


def hold_json(hold: Hold | None) -> dict[str, object] | None:
    """A hold as JSON."""
    if hold is None:
        return None
    return {"id": hold.id, "who": hold.who, "reason": hold.reason, "since": _iso(hold.since)}


def standing(state: HostState, now: datetime) -> list[tuple[str, Colour]]:
    """Say what stands there, a sentence each: nothing where all is as usual."""
    said = []
    if state.hold:
        said.append((f"held {state.hold.in_words(now)} ({state.hold.id})", Colour.WARN))
    if state.lock and state.lock.is_live:
        said.append((f"locked {state.lock.in_words(now)}", Colour.WARN))
    if state.attempt and (words := _attempt_words(state.attempt, now)):
        stuck = state.attempt.state is AttemptState.STUCK
        said.append((words, Colour.BAD if stuck else Colour.WARN))
    return said


def _attempt_words(attempt: Attempt, now: datetime) -> str | None:
    whose = f"run {attempt.run} of {attempt.who}"
    if attempt.state.in_flight:
        left = attempt.seconds_left
        end = f"; it rolls back by itself in {left} s" if left is not None else ""
        if attempt.guard_gone:
            end = "; its guard is gone, and nothing goes on until the next deployment settles it"
        return f"being changed by {whose}: {attempt.state.value}{end}"
    when = f" {ago(attempt.ended, now)}" if attempt.ended else ""
    why = f": {attempt.why}" if attempt.why else ""
    if attempt.unreached:
        return f"{whose} was rolled back{when}, and not reached before this{why}"
    if attempt.state is AttemptState.RETURNED:
        return f"{whose} rolled back{when}{why}"
    if attempt.state is AttemptState.STUCK:
        return f"{whose} could not roll back{when}{why}"
    return f"{whose} ended{when}{why}" if why else None


def _attempt_json(attempt: Attempt | None) -> dict[str, object] | None:
    if attempt is None:
        return None
    return {
        "token": attempt.token,
        "state": attempt.state.value,
        "goal": attempt.goal.value,
        "target": attempt.target.path,
        "run": attempt.run,
        "who": attempt.who,
        "revision": attempt.revision,
        "emergency": attempt.emergency,
        "skipped": list(attempt.skipped),
        "activation": attempt.activation,
        "why": attempt.why,
        "reached": attempt.reached,
        "guard_gone": attempt.guard_gone,
        "seconds_left": None if attempt.guard_gone else attempt.seconds_left,
        "began": _iso(attempt.began),
        "ended": _iso(attempt.ended),
    }


def _iso(when: datetime | None) -> str | None:
    return when.isoformat() if when else None


_STATUS = (
    *(Column("host"), Column("runs", flexible=True)),
    *(Column("boots"), Column("deployed"), Column("units")),
)
_PING = (Column("host"), Column("answer", flexible=True), Column("time", right=True))


def draw_status(
    answers: Sequence[HostAnswer], results: Output, words: Output, *, as_json: bool
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
            found = [*unexpected_system(answer.state), answer.state.boot_warning]
            doubts = [(text, Colour.WARN) for text in found if text]
            for text, colour in doubts + standing(answer.state, now):
                results.line(f"{answer.host.name}: {results.paint(clean(text), colour)}")
    _draw_errors(answers, words)


def draw_ping(
    answers: Sequence[HostAnswer], results: Output, words: Output, *, as_json: bool
) -> None:
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


def _status_row(answer: HostAnswer, now: datetime) -> tuple[str | Cell, ...]:
    state = answer.state
    if state is None:
        return (answer.host.name, Cell("no answer", Colour.BAD), "", "", "")
    return (
        answer.host.name,
        runs_in_words(state) if state.running else Cell("no NixOS system", Colour.BAD),
        _boots(state),
        _deployed(state, now),
        Cell(f"{len(state.failed_units)} failed", Colour.WARN) if state.failed_units else "ok",
    )


def _boots(state: HostState) -> str | Cell:
    if not state.boot_source.is_boot_loader:
        return Cell("cannot be read", Colour.WARN)
    if state.running == state.profile == state.boot_default:
        return Cell("the same; not next", Colour.WARN) if state.boot_note else "the same"
    return Cell(boots_in_words(state), Colour.WARN)


def _deployed(state: HostState, now: datetime) -> str | Cell:
    record = state.record
    if record is None:
        return "not by us"
    text = f"{ago(record.at, now)} by {record.who}, run {record.run}"
    if record.out_path not in (state.running, *(one.system for one in state.running_as)):
        return Cell(f"{text}, but runs another", Colour.WARN)
    return text


def _draw_errors(answers: Sequence[HostAnswer], words: Output) -> None:
    for answer in answers:
        if answer.error is not None:
            draw_step_error(answer.host.name, answer.error, words)


def _to_json(answer: HostAnswer) -> dict[str, object]:
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
        "specialisation": state.specialisation or None,
        "is_foreign": state.is_foreign,
        "profile": _text(state.profile),
        "boot_default": _text(state.boot_default),
        "boot_source": state.boot_source.value,
        "boot_note": state.boot_note,
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


_BUSY = Colour.WARN
_COLUMNS = (Column("host"), Column("locked", flexible=True), Column("held"))


def draw_locks(
    answers: Sequence[HostAnswer], results: Output, words: Output, *, as_json: bool
) -> None:
    """Draw each host's lock and hold, and why some do not say."""
    if as_json:
        print_json(results, {answer.host.name: _lock_json(answer) for answer in answers})
        return
    now = datetime.now(UTC)
    print_table(results, _COLUMNS, [_row(answer, now) for answer in answers])
    _draw_errors(answers, words)


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


def _row(answer: HostAnswer, now: datetime) -> tuple[str | Cell, ...]:
    state = answer.state
    if state is None:
        return (answer.host.name, Cell("no answer", Colour.BAD), "")
    return (answer.host.name, _lock_words(state.lock, now), _hold_words(state.hold, now))


def _lock_json(answer: HostAnswer) -> dict[str, object]:
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
    taken = f"its lock was broken; {lock.who} is notified"
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
    said = f'held ({hold.id}): "{hold.reason}"; lift it: orchestrator host unhold {name}'
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
