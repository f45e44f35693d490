"""Lists and errors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.core.errors import OrchestratorError, StepError
from orchestrator.core.foreign import split_lines
from orchestrator.core.outcome import Problem
from orchestrator.core.units import ago
from orchestrator.render.output import Colour, Output, clean, cut, duration, width

__all__ = ["Cell", "Column", "ago", "duration", "print_json", "print_table", "table"]

_GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        title: Its heading.
        right: Whether its cells stand at the right, as numbers do.
        flexible: Whether it is the one that gives way where the line is too long.
    """

    title: str
    right: bool = False
    flexible: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell with a colour. A plain string will do where there is none."""

    text: str
    colour: Colour | None = None


def print_table(
    output: Output, columns: Sequence[Column], rows: Sequence[Sequence[str | Cell]]
) -> None:
    """Write a table."""
    for line in table(output, columns, rows):
        output.line(line)


def print_json(output: Output, value: object) -> None:
    """Write a value as indented JSON, instead of a table."""
    output.line(json.dumps(value, indent=2))


def table(
    output: Output, columns: Sequence[Column], rows: Sequence[Sequence[str | Cell]]
) -> list[str]:
    """Lay out a table; where the line's end is known, the flexible column is cut to fit.

    Args:
        output: Tells the width, and whether there are colours.
        columns: One for each cell of a row.
        rows: Their text may come from a host: it is cleaned here.
    """
    cells = [[_cell(cell) for cell in row] for row in rows]
    widths = [
        max([width(column.title), *(width(row[index].text) for row in cells)])
        for index, column in enumerate(columns)
    ]
    _fit(widths, columns, output.columns)
    heading = [Cell(column.title, Colour.STRONG) for column in columns]
    return [_line(output, columns, widths, row) for row in [heading, *cells]]


def _cell(cell: str | Cell) -> Cell:
    if isinstance(cell, str):
        return Cell(clean(cell))
    return Cell(clean(cell.text), cell.colour)


def _fit(widths: list[int], columns: Sequence[Column], line: int | None) -> None:
    if line is None:
        return
    too_many = sum(widths) + len(_GAP) * (len(widths) - 1) - line
    for index, column in enumerate(columns):
        if column.flexible and too_many > 0:
            widths[index] = max(widths[index] - too_many, width(column.title), 8)


def _line(
    output: Output, columns: Sequence[Column], widths: Sequence[int], row: Sequence[Cell]
) -> str:
    parts = []
    for column, cells, cell in zip(columns, widths, row, strict=True):
        text = cut(cell.text, cells)
        painted = text if cell.colour is None else output.paint(text, cell.colour)
        space = " " * (cells - width(text))
        parts.append(space + painted if column.right else painted + space)
    return _GAP.join(parts).rstrip()


LAST_LINES = 20
"""How many lines of a command's standard error are shown."""


def draw_error(error: OrchestratorError, output: Output) -> None:
    """Write an error that ends the command.

    Args:
        error: Its message may hold several lines: an inventory's mistakes come all at once.
        output: Standard error.
    """
    first, *rest = split_lines(error.message) or [""]
    output.line(output.paint("error:", Colour.BAD) + f" {clean(first)}")
    for line in rest:
        output.line(clean(line))
    if isinstance(error, StepError):
        draw_rest(output, error.hint, error.command, split_lines(error.stderr))
    else:
        draw_rest(output, error.hint, None, ())


def draw_problem(host: str, problem: Problem, log: str, output: Output) -> None:
    """Write why a host failed, what it runs now, and how to go on.

    Args:
        host: Its name.
        problem: Why.
        log: The command that prints its full log.
        output: Standard error.
    """
    verb = "refused" if problem.refused else "failed"
    # "activation failed (exit 4)" names its step by itself.
    named = re.match(r"[a-z ]+ failed\b", problem.message)
    step = "" if named else f"{problem.step} {verb}: "
    name = output.paint("error:", Colour.BAD)
    output.line(f"{name} host '{host}': {step}{clean(problem.message)}")
    if problem.host_state:
        output.line(f"now: {clean(problem.host_state)}")
    draw_rest(output, problem.hint, problem.command, problem.stderr)
    output.line(f"log: {log}")


def draw_rest(output: Output, hint: str | None, command: str | None, stderr: Iterable[str]) -> None:
    """Write what follows an error's first line."""
    for line in split_lines(hint or ""):
        output.line(output.paint("hint:", Colour.WARN) + f" {clean(line)}")
    if command:
        output.line(f"repeat by hand: {clean(command)}")
    for line in list(stderr)[-LAST_LINES:]:
        output.line(output.paint("  | ", Colour.FAINT) + clean(line))


def draw_step_error(host: str, error: StepError, output: Output) -> None:
    """Write why a host did not answer a question; there is no run and no log."""
    output.line(f"{output.paint('error:', Colour.BAD)} host '{host}': {clean(error.message)}")
    draw_rest(output, error.hint, error.command, split_lines(error.stderr))
