"""Tables of figures, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.bench.timing import Series


@dataclass(frozen=True, slots=True)
class Table:
    """A table, with what must be known to read it.

    Attributes:
        columns: Headings; the first column names the row.
        rows: Cells, as many in each row as there are columns.
        notes: Below the table, a line each.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = field(default=())

    def markdown(self) -> str:
        """Write it out; figures stand on the right."""
        lines = [_line(self.columns), _line(["---", *["--:"] * (len(self.columns) - 1)])]
        lines += [_line(row) for row in self.rows]
        notes = [f"- {_plain(note)}" for note in self.notes]
        return "\n".join([*lines, *([""] if notes else []), *notes])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_plain(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def _plain(text: str) -> str:
    """One line, whatever a command said."""
    return " ".join(text.split())


def seconds(value: float) -> str:
    """A time in as many digits as it deserves."""
    if value < 0.1:
        return f"{value * 1000:.1f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def spread(series: Series) -> str:
    """Median, and the least and the most of several; a failure is said as such."""
    if series.median is None:
        return "**failed**" if series.failure else "not run"
    text = seconds(series.median)
    if len(series.seconds) > 1:
        text += f" ({seconds(min(series.seconds))} to {seconds(max(series.seconds))})"
    return text


def ratio(series: Series, base: Series) -> str:
    """How many times as long as the base."""
    if series.median is None or base.median is None:
        return "-"
    value = series.median / base.median
    return f"{value:.1f} x" if value < 100 else f"{value:.0f} x"


def failures(series: dict[str, Series]) -> tuple[str, ...]:
    """A note for each contender that failed: what it said last."""
    return tuple(f"{name} failed: {one.failure}" for name, one in series.items() if one.failure)
