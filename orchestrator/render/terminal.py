"""The live display, and the value that it shows."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Self, assert_never

from msgspec import Struct, field

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
from orchestrator.core.values import replace
from orchestrator.render.output import (
    Colour,
    Output,
    clean,
    colour,
    cut,
    duration,
    outcome_word,
    pad,
    problem_of,
    stopwatch,
    width,
)
from orchestrator.render.plain import Clock, Renderer, notice, of_waves, started

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PHASE_WIDTH = max(len(phase.value) for phase in Phase)
_NAME_WIDTH = 20
"""Cells that a host's name may take: RFC 1123 allows 63."""


class Row(Struct, frozen=True):
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


class Board(Struct, frozen=True):
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


DELAY = 0.25
"""Seconds after which a run is worth a live display: one that changes nothing ends before."""


class Terminal(Renderer):
    """Draws the board in place and takes it away at the end; the report's table replaces it.

    Args:
        output: A terminal.
        clock: Tells elapsed times.
        verbose: Whether the hosts' log lines scroll by above the board.
        delay: Seconds before the board first appears; ``None`` waits for ``show``.
        height: Lines of the terminal; ``None`` asks it.
    """

    def __init__(
        self,
        output: Output,
        clock: Clock,
        *,
        verbose: bool = False,
        delay: float | None = DELAY,
        height: int | None = None,
    ) -> None:
        self._output = output
        self._clock = clock
        self._verbose = verbose
        self._delay = delay
        self._height = height
        self._board = Board()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._live: Live | None = None
        self._closed = False

    def handle(self, event: Event) -> None:
        """Take in an event; notices are written above the board and stay."""
        self._board = self._board.after(event, self._clock())
        match event:
            case RunStarted():
                self._closed = False  # Another run may have been drawn before.
                self._start_later()
            case RunFinished():
                self.close()
                # What the board said first and the report does not: where the logs are.
                self._output.line(self._output.paint(self._board.title, Colour.FAINT))
            case Notice(warning=warning):
                self._above(notice(event), Colour.WARN if warning else None)
            case WaveStarted() | WaveEnded() | Paused():
                self._above(of_waves(event), Colour.STRONG)
            case LogLine(host=host, text=text) if self._verbose:
                self._above(f"{host}: {clean(text)}", Colour.FAINT)
            case _:
                pass  # The board shows it.

    def show(self) -> None:
        """Begin to draw, unless the run has ended meanwhile."""
        with self._lock:
            if self._closed or self._live is not None:
                return
            self._live = self._new_live()
            # The terminal may be gone; whoever draws there next finds out and is dropped.
            with contextlib.suppress(OSError, ValueError):
                self._live.start()

    def close(self) -> None:
        """Take the board away and show the cursor again."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
            live, self._live = self._live, None
        if live is not None:
            live.stop()

    def drawn(self) -> Text:
        """Draw the board as it is now, for rich."""
        from rich.text import Text

        # Asked each time: a terminal is resized. The cursor stands on the line below the last.
        size = self._console.size
        drawn = lines(self._board, self._clock(), size.width, size.height - 1, self._output)
        return Text.from_ansi("\n".join(drawn), no_wrap=True, overflow="crop")

    @cached_property
    def _console(self) -> Console:
        """Rich's view of our terminal: the width that it finds out, the colours that we chose."""
        from rich.console import Console

        plain = not self._output.colour
        return Console(
            file=self._output.stream,
            force_terminal=True,
            no_color=plain,
            color_system=None if plain else "standard",
            width=None if self._height is None else self._output.columns,
            height=self._height,
            highlight=False,
            markup=False,
            emoji=False,
        )

    def _start_later(self) -> None:
        if self._delay is not None:
            self._timer = threading.Timer(self._delay, self.show)
            self._timer.daemon = True
            self._timer.start()

    def _above(self, text: str, colour: Colour | None) -> None:
        live = self._live
        painted = text if colour is None else self._output.paint(text, colour)
        if live is None:
            self._output.line(painted)
        else:
            from rich.text import Text

            live.console.print(Text.from_ansi(painted), soft_wrap=True)

    def _new_live(self) -> Live:
        from rich.live import Live

        return Live(
            console=self._console,
            get_renderable=self.drawn,
            refresh_per_second=8,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
