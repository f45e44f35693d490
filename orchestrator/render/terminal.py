"""The live display: one line a host, drawn in place on a terminal."""

from __future__ import annotations

import contextlib
import threading
from functools import cached_property
from typing import TYPE_CHECKING

from orchestrator.core.event import (
    Event,
    LogLine,
    Notice,
    Paused,
    RunFinished,
    RunStarted,
    WaveEnded,
    WaveStarted,
)
from orchestrator.render.board import Board, lines
from orchestrator.render.output import Colour, Output
from orchestrator.render.plain import notice
from orchestrator.render.renderer import Clock, Renderer
from orchestrator.render.text import clean
from orchestrator.render.waves import of_waves

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

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
