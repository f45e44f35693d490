"""Tables, problems, and the report at the end of a run."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from msgspec import Struct

from orchestrator.core.errors import OrchestratorError, StepError
from orchestrator.core.event import Event, RunFinished
from orchestrator.core.outcome import Problem
from orchestrator.core.rollout import Wave
from orchestrator.core.run import Report
from orchestrator.core.units import ago, split_lines
from orchestrator.render import alike
from orchestrator.render.event_json import JsonLines
from orchestrator.render.output import (
    Colour,
    Output,
    clean,
    colour,
    cut,
    duration,
    is_terminal,
    outcome_word,
    problem_of,
    width,
)
from orchestrator.render.plain import Fanout, PlainLines, Renderer, described
from orchestrator.render.terminal import Terminal

__all__ = ["Cell", "Column", "ago", "duration", "print_json", "print_table", "table"]

_GAP = "  "


class Column(Struct, frozen=True):
    """A column.

    Attributes:
        title: Its heading.
        right: Whether its cells stand at the right, as numbers do.
        flexible: Whether it is the one that gives way where the line is too long.
    """

    title: str
    right: bool = False
    flexible: bool = False


class Cell(Struct, frozen=True):
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


def error_json(error: OrchestratorError) -> dict[str, object]:
    """Say a foreseen error as a script reads it."""
    return {"message": error.message, "hint": error.hint}


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


_COLUMNS = (
    Column("host"),
    Column("outcome"),
    Column("what changed", flexible=True),
    Column("time", right=True),
)


class ReportTable(Renderer):
    """Draws the report, and nothing before it.

    Args:
        results: Standard output: the table.
        words: Standard error: what failed, and why.
        verbose: Whether a plan's lists are whole.
    """

    def __init__(self, results: Output, words: Output, *, verbose: bool = False) -> None:
        self._results = results
        self._words = words
        self._verbose = verbose

    def handle(self, event: Event) -> None:
        """Draw the report; other events are not ours."""
        if isinstance(event, RunFinished):
            if event.report.plan_only:
                # No deployment draws this: it is not to wait for the import.
                from orchestrator.render import foreseen

                foreseen.draw(event.report, self._results, verbose=self._verbose)
            draw_report(event.report, self._results, self._words)

    def close(self) -> None:
        """Nothing is held open."""


def draw_report(report: Report, results: Output, words: Output) -> None:
    """Write the table, a line that sums it up, and a block for each host that failed."""
    rows = [_row(report, row) for row in alike.rows(report)]
    print_table(results, _COLUMNS, rows)
    if len(report.waves) > 1:
        for number, wave in enumerate(report.waves, 1):
            results.line(f"wave {number} of {len(report.waves)}: {_wave(report, wave)}")
    results.line(summary(report))
    for warning, names in warnings_of(report).items():
        words.line(f"warning: {alike.named(report, names)}: {clean(warning)}")
    for name, result in report.hosts.items():
        problem = problem_of(result.outcome)
        if problem is not None:
            words.line()
            draw_problem(name, problem, log_command(report.run.number, name), words)


def warnings_of(report: Report) -> dict[str, list[str]]:
    """Warning → the hosts that it is about: what many have in common is said once."""
    found: dict[str, list[str]] = {}
    for name, result in report.hosts.items():
        for warning in getattr(result.outcome, "warnings", ()):
            found.setdefault(warning, []).append(name)
    return found


def summary(report: Report) -> str:
    """Sum a run up: ``run 12: 3 unchanged, 1 deployed, 1 failed in 12 s (exit 1)``."""
    counts = Counter(
        outcome_word(result.outcome, plan=report.plan_only) for result in report.hosts.values()
    )
    counted = ", ".join(f"{count} {word}" for word, count in counts.items()) or "no hosts"
    what = "plan" if report.plan_only else f"run {report.run.number}"
    how = "interrupted; " if report.interrupted else ""
    code = f" (exit {report.exit_code})" if report.exit_code else ""
    return f"{what}: {how}{counted} in {duration(report.seconds)}{code}"


def _wave(report: Report, wave: Wave) -> str:
    """Say who is in a wave and, after it was gone, how they ended."""
    if report.plan_only:
        pause = f"; then a pause of {duration(wave.pause)}" if wave.pause else ""
        return described(wave) + (pause if wave is not report.waves[-1] else "")
    ended = Counter(outcome_word(report.hosts[name].outcome) for name in wave.hosts)
    return f"{wave.name}: " + ", ".join(f"{count} {word}" for word, count in ended.items())


def log_command(run: int, host: str) -> str:
    """The command that prints a host's full log."""
    return f"orchestrator run logs {run} {host}"


def _row(report: Report, row: alike.Alike) -> tuple[str | Cell, ...]:
    word = Cell(outcome_word(row.outcome, plan=report.plan_only), colour(row.outcome))
    return row.called, word, row.reason, duration(row.seconds)


def choose(
    json: bool,
    stdout: TextIO,
    stderr: TextIO,
    env: Mapping[str, str],
    verbose: bool = False,
    *,
    quiet: bool = False,
    markdown: bool = False,
) -> Fanout:
    """Put a command's renderers together.

    Args:
        json: Whether standard output has JSON lines, and nothing else.
        stdout: Takes results.
        stderr: Takes words for a person.
        env: ``NO_COLOR`` and ``TERM`` are looked at.
        verbose: Whether the hosts' log lines are shown.
        quiet: Whether progress is left out.
        markdown: Whether standard output has the report as Markdown.

    Returns:
        A renderer that survives the failure of each of its parts.
    """
    results, words = Output.of(stdout, env), Output.of(stderr, env)
    end = _end(results, words, json=json, markdown=markdown, verbose=verbose)
    return Fanout((end,) if quiet else (_progress(words, env, verbose), end), words)


def _end(results: Output, words: Output, *, json: bool, markdown: bool, verbose: bool) -> Renderer:
    if json:
        return JsonLines(results, verbose=verbose)
    if markdown:
        from orchestrator.render.markdown import Markdown

        return Markdown(results)
    return ReportTable(results, words, verbose=verbose)


def _progress(words: Output, env: Mapping[str, str], verbose: bool) -> Renderer:
    live = is_terminal(words.stream) and env.get("TERM", "dumb") != "dumb"
    if live:
        return Terminal(words, time.monotonic, verbose=verbose)
    return PlainLines(words, time.monotonic, verbose=verbose)
