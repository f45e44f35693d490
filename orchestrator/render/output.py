"""A stream to write lines to: one that may be closed at any moment, or know no Unicode."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from enum import Enum
from typing import TextIO

from orchestrator.render.text import harmless


class Colour(Enum):
    """The colours that lines use: their SGR parameters (ECMA-48)."""

    GOOD = "32"
    BAD = "31"
    WARN = "33"
    FAINT = "2"
    STRONG = "1"


class Output:
    """Writes whole lines and flushes each, so that a reader of a pipe sees them at once.

    Args:
        stream: Where to.
        colour: Whether colours are written.
        columns: The cells in a line, on a terminal; ``None`` where lines have no end.
    """

    def __init__(self, stream: TextIO, *, colour: bool = False, columns: int | None = None) -> None:
        self.stream = stream
        self.colour = colour
        self.columns = columns

    @classmethod
    def of(cls, stream: TextIO, env: Mapping[str, str]) -> Output:
        """Look at the stream: colours and a width on a terminal only; NO_COLOR is honoured."""
        if not is_terminal(stream):
            return cls(stream)
        colour = not env.get("NO_COLOR") and env.get("TERM") != "dumb"
        return cls(stream, colour=colour, columns=columns(stream))

    def line(self, text: str = "") -> None:
        """Write a line; what could control the terminal is left out, but for colours.

        Raises:
            OSError: Nobody reads any more, or the disk is full.
        """
        try:
            _write(self.stream, harmless(text) + "\n")
        except BrokenPipeError:
            silence(self.stream)
            raise

    def paint(self, text: str, colour: Colour) -> str:
        """Colour a piece of text, where colours are written."""
        return f"\x1b[{colour.value}m{text}\x1b[0m" if self.colour and text else text


def is_terminal(stream: TextIO) -> bool:
    """Whether a person sits before the stream. A closed one has nobody before it."""
    with contextlib.suppress(ValueError):
        return stream.isatty()
    return False


def columns(stream: TextIO) -> int:
    """Count the cells in a terminal's line: 80 where it does not tell."""
    with contextlib.suppress(OSError, ValueError):
        return os.get_terminal_size(stream.fileno()).columns or 80
    return 80


def silence(stream: TextIO) -> None:
    """Point a broken pipe's descriptor at nothing, or Python complains when it flushes at exit.

    https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, errors="replace").decode(encoding))
    stream.flush()
