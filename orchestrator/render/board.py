"""What the live display shows: a value that each event makes anew, and its lines.

The display's own thread reads it while events arrive; as it is never changed, only replaced,
neither has to wait for the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self, assert_never

from orchestrator.core.event import (
    Event,
    HostFinished,
    LogLine,
    Notice,
    Paused,
    Phase,
    PhaseStarted,
    Progress,
    Recalled,
    RunFinished,
    RunStarted,
    WaveEnded,
    WaveStarted,
)
from orchestrator.core.outcome import Outcome
from orchestrator.render.output import Colour, Output
from orchestrator.render.plain import started
from orchestrator.render.text import clean, cut, pad, width
from orchestrator.render.waves import of_waves
from orchestrator.render.words import colour, duration, outcome_word, problem_of, stopwatch

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PHASE_WIDTH = max(len(phase.value) for phase in Phase)
_NAME_WIDTH = 20
"""Cells that a host's name may take: RFC 1123 allows 63."""


@dataclass(frozen=True, slots=True)
class Row:
    """A host: its phase since when, its last progress, and how it ended."""

    phase: Phase = Phase.WAIT
    begun: float | None = None
    since: float = 0.0
    text: str = ""
    finished: HostFinished | None = None

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; ``None`` before."""
        return None if self.finished is None else self.finished.outcome

    @property
    def rank(self) -> int:
        """What to leave out last where there is no room: 0 busy, 1 failed, 2 waiting, 3 done."""
        if self.outcome is not None:
            return 1 if problem_of(self.outcome) else 3
        return 2 if self.phase is Phase.WAIT else 0


@dataclass(frozen=True, slots=True)
class Board:
    """Every host's row, in the order of the run."""

    title: str = ""
    plan: bool = False
    wave: str = ""
    rows: Mapping[str, Row] = field(default_factory=dict)

    def after(self, event: Event, now: float) -> Self:
        """Take in an event that came at ``now``."""
        match event:
            case RunStarted(hosts=hosts, plan_only=plan):
                rows = {host: Row(since=now) for host in hosts}
                return replace(self, title=started(event), plan=plan, wave="", rows=rows)
            case WaveStarted() | WaveEnded() | Paused():
                return replace(self, wave=of_waves(event))
            case PhaseStarted(host=host, phase=phase):
                row = self.rows.get(host, Row())
                begun = now if row.begun is None else row.begun
                row = replace(row, phase=phase, begun=begun, since=now, text="")
                return self._with(host, row)
            case Progress(host=host, text=text):
                return self._with(host, replace(self.rows.get(host, Row()), text=clean(text)))
            case HostFinished(host=host):
                return self._with(host, replace(self.rows.get(host, Row()), finished=event))
            case Recalled() | LogLine() | Notice() | RunFinished():
                return self
            case _:
                assert_never(event)

    def _with(self, host: str, row: Row) -> Self:
        return replace(self, rows={**self.rows, host: row})


def lines(board: Board, now: float, columns: int, height: int, output: Output) -> list[str]:
    """Draw the board in at most ``height`` lines; the hosts that matter least are left out.

    Args:
        board: What to draw.
        now: The clock that ``Board.after`` was given.
        columns: Cells in a line.
        height: At least 3.
        output: Tells whether there are colours.
    """
    room = max(height - 1, 1)
    shown = _shown(board, room)
    names = min(max((len(name) for name in board.rows), default=0), _NAME_WIDTH)
    title = " · ".join(part for part in (board.wave, board.title) if part)
    drawn = [output.paint(cut(title, columns), Colour.FAINT)]
    for name in shown:
        head, word, tint, tail = _parts(board.rows[name], now, plan=board.plan)
        head = f"{head} {pad(cut(name, names), names)}  "
        tail = cut(f" {tail}", columns - width(head) - _PHASE_WIDTH)
        drawn.append(head + output.paint(pad(word, _PHASE_WIDTH), tint) + tail)
    rest = [row for name, row in board.rows.items() if name not in shown]
    if rest:
        drawn.append(output.paint(cut(_left_out(rest, plan=board.plan), columns), Colour.FAINT))
    return drawn


def _shown(board: Board, room: int) -> list[str]:
    if len(board.rows) <= room:
        return list(board.rows)
    ranked = sorted(board.rows, key=lambda name: board.rows[name].rank)
    kept = set(ranked[: max(room - 1, 1)])
    return [name for name in board.rows if name in kept]


def _left_out(rows: list[Row], *, plan: bool) -> str:
    words = Counter(
        row.phase.value if row.outcome is None else outcome_word(row.outcome, plan=plan)
        for row in rows
    )
    return f"  … {len(rows)} more: " + ", ".join(f"{n} {word}" for word, n in words.items())


def _parts(row: Row, now: float, *, plan: bool) -> tuple[str, str, Colour, str]:
    """Say of a host: glyph; phase or outcome; its colour; time in the phase, in all, and text."""
    if row.finished is not None:
        outcome, seconds = row.finished.outcome, row.finished.seconds
        tail = f"{'':7} {duration(seconds):>7}  {clean(outcome.reason)}"
        return _glyph(outcome), outcome_word(outcome, plan=plan), colour(outcome), tail
    total = "" if row.begun is None else stopwatch(now - row.begun)
    if row.phase is Phase.WAIT:
        return "·", row.phase.value, Colour.FAINT, f"{'':7} {total:>7}  {row.text}"
    glyph = _SPINNER[int(now * 8) % len(_SPINNER)]
    tail = f"{stopwatch(now - row.since):>7} {total:>7}  {row.text}"
    return glyph, row.phase.value, Colour.STRONG, tail


def _glyph(outcome: Outcome) -> str:
    match colour(outcome):
        case Colour.GOOD:
            return "✓"
        case Colour.BAD:
            return "✗"
        case Colour.WARN:
            return "-"
        case _:
            return "="
