"""Tables for every command, durations, and what drawing costs to import."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO

import pytest

from orchestrator.render.output import Colour, Output, duration, stopwatch
from orchestrator.render.report import Cell, Column, print_json, print_table

COLUMNS = (Column("host"), Column("what", flexible=True), Column("n", right=True))


def test_table_is_aligned() -> None:
    """Columns line up, numbers stand at the right, and lines have no trailing space."""
    text = StringIO()
    print_table(Output(text), COLUMNS, [("p620", "漢字", "1"), ("dex5550", "", "10")])
    assert text.getvalue() == "host     what   n\np620     漢字   1\ndex5550        10\n"


def test_flexible_column_gives_way() -> None:
    """Where the line is too long, one column is cut and the others are whole."""
    text = StringIO()
    print_table(Output(text, columns=30), COLUMNS, [("p620", "a long story " * 9, "1")])
    assert [len(line) for line in text.getvalue().splitlines()] == [30, 30]


def test_cell_cannot_draw_and_keeps_its_colour() -> None:
    """A host's text is cleaned; our own colour is around it, and does not count as width."""
    text = StringIO()
    row = (Cell("p\x1b[5m620", Colour.BAD), "x", "1")
    print_table(Output(text, colour=True), COLUMNS, [row])
    assert text.getvalue().splitlines()[1] == "\x1b[31mp620\x1b[0m  x     1"


def test_empty_table_has_its_heading() -> None:
    """A table without rows is still a table."""
    text = StringIO()
    print_table(Output(text), COLUMNS, [])
    assert text.getvalue() == "host  what  n\n"


def test_json_instead_of_a_table() -> None:
    """The same value can be had as JSON."""
    text = StringIO()
    print_json(Output(text), {"p620": [1, None]})
    assert json.loads(text.getvalue()) == {"p620": [1, None]}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0.0 s"), (0.24, "0.2 s"), (12.4, "12 s"), (187, "3:07"), (3727, "1:02:07")],
)
def test_duration(seconds: float, text: str) -> None:
    """A duration is said as briefly as it can be."""
    assert duration(seconds) == text


def test_stopwatch_keeps_its_width() -> None:
    """A running time changes its width only at ten minutes and at the hour."""
    assert [stopwatch(seconds) for seconds in (0, 7.9, 60, 3600)] == [
        "0:00",
        "0:07",
        "1:00",
        "1:00:00",
    ]


def test_drawing_loads_neither_rich_nor_pytest() -> None:
    """A run that draws no live board does not pay for what would draw it."""
    code = (
        "import sys, orchestrator.render.report, orchestrator.render.report\n"
        "import orchestrator.verify.run\n"
        "heavy = {'rich', 'pytest', '_pytest', 'testinfra'} & set(sys.modules)\n"
        "sys.exit(f'{heavy}' if heavy else 0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
