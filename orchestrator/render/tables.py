"""Tables on standard output, or the same as JSON: for every command that lists something."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.core.words import ago
from orchestrator.render.output import Colour, Output
from orchestrator.render.text import clean, cut, width
from orchestrator.render.words import duration

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
