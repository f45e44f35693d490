"""A stream that may break; foreign text made harmless; wording."""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from collections.abc import Mapping
from enum import Enum
from typing import TextIO, assert_never

from orchestrator.core.outcome import (
    Completed,
    Deferred,
    Deployed,
    Failed,
    Outcome,
    Problem,
    RolledBack,
    Skipped,
    Unchanged,
    Unreached,
    outcome_name,
)

# ECMA-48: a control sequence; a string, which ST or BEL ends; any other escape; the 8-bit forms.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*+(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)

# Control, format (such as the bidirectional overrides), surrogate, line and paragraph separators.
_UNFIT = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

# Controls but for tab and newline, and what turns the direction of the text; not our own colours.
_CONTROLS = re.compile(
    "(?!\x1b\\[[0-9;]*m)[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)


def harmless(text: str) -> str:
    """Take out of whole lines what controls a terminal: the last net below ``clean``."""
    return text if text.isascii() and text.isprintable() else _CONTROLS.sub("", text)


def clean(text: str) -> str:
    """Make one line of text that comes from a host or from Nix harmless to print."""
    text = _ESCAPES.sub("", text)
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\t", "    ").rstrip("\r\n")
    return "".join(_fit(character) for character in text)


def _fit(character: str) -> str:
    if character in "\r\n\v\f\u2028\u2029":
        return " "
    return "" if unicodedata.category(character) in _UNFIT else character


def width(text: str) -> int:
    """Count the terminal cells that a line takes."""
    return len(text) if text.isascii() else sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, cells: int) -> str:
    """Shorten a line to so many cells, with an ellipsis at its end.

    What takes no cell, such as an accent, has no end by that: it ends with its fourth in each.
    """
    most = 4 * cells
    if len(text) <= most and width(text) <= cells:
        return text
    kept, used = "", 1
    for character in text[: max(most - 1, 0)]:
        used += _cells(character)
        if used > cells:
            break
        kept += character
    return kept + "…" if cells > 0 else ""


def pad(text: str, cells: int) -> str:
    """Fill a line with spaces to so many cells."""
    return text + " " * (cells - width(text))


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


def outcome_word(outcome: Outcome, *, plan: bool = False) -> str:
    """Name an outcome, such as ``rolled back``; in a plan, what would come of the host."""
    if plan and isinstance(outcome, Deployed):
        return f"would {outcome.goal.value}"
    if plan and isinstance(outcome, Completed):
        return f"would {outcome.goal.value}"
    if isinstance(outcome, Unreached):
        return "rolled back, not yet reached"
    return outcome_name(outcome).replace("_", " ")


def colour(outcome: Outcome) -> Colour:
    """Choose an outcome's colour."""
    match outcome:
        case Deployed() | Completed():
            return Colour.GOOD
        case Unchanged():
            return Colour.FAINT
        case Deferred() | Skipped():
            return Colour.WARN
        case Failed() | RolledBack():
            return Colour.BAD
        case _:
            assert_never(outcome)


def problem_of(outcome: Outcome) -> Problem | None:
    """Find why an outcome is a failure; ``None`` where it is none."""
    return outcome.problem if isinstance(outcome, Failed | RolledBack) else None


def duration(seconds: float) -> str:
    """Say a duration in few characters: ``0.2 s``, ``12 s``, ``3:07``, ``1:02:07``."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return stopwatch(seconds)


def stopwatch(seconds: float) -> str:
    """Say a running time so that it keeps its width: ``0:07``, ``3:07``, ``1:02:07``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
