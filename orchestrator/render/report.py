"""The end of a run; which renderers a command gets."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import TextIO

from orchestrator.core.event import Event, RunFinished
from orchestrator.core.rollout import Wave
from orchestrator.core.run import HostResult, Report
from orchestrator.render.event_json import JsonLines
from orchestrator.render.output import (
    Output,
    clean,
    colour,
    duration,
    is_terminal,
    outcome_word,
    problem_of,
)
from orchestrator.render.plain import PlainLines, described
from orchestrator.render.renderer import Fanout, Renderer
from orchestrator.render.tables import Cell, Column, draw_problem, print_table
from orchestrator.render.terminal import Terminal

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
    """

    def __init__(self, results: Output, words: Output) -> None:
        self._results = results
        self._words = words

    def handle(self, event: Event) -> None:
        """Draw the report; other events are not ours."""
        if isinstance(event, RunFinished):
            draw_report(event.report, self._results, self._words)

    def close(self) -> None:
        """Nothing is held open."""


def draw_report(report: Report, results: Output, words: Output) -> None:
    """Write the table, a line that sums it up, and a block for each host that failed."""
    rows = [_row(report, name, result) for name, result in report.hosts.items()]
    print_table(results, _COLUMNS, rows)
    if len(report.waves) > 1:
        for number, wave in enumerate(report.waves, 1):
            results.line(f"wave {number} of {len(report.waves)}: {_wave(report, wave)}")
    results.line(summary(report))
    for warning, names in _warnings(report).items():
        words.line(f"warning: {', '.join(names)}: {clean(warning)}")
    for name, result in report.hosts.items():
        problem = problem_of(result.outcome)
        if problem is not None:
            words.line()
            draw_problem(name, problem, log_command(report.run.number, name), words)


def _warnings(report: Report) -> dict[str, list[str]]:
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


def _row(report: Report, name: str, result: HostResult) -> tuple[str | Cell, ...]:
    outcome = result.outcome
    word = Cell(outcome_word(outcome, plan=report.plan_only), colour(outcome))
    return name, word, outcome.reason, duration(result.seconds)


def choose(
    json: bool,
    stdout: TextIO,
    stderr: TextIO,
    env: Mapping[str, str],
    verbose: bool = False,
    *,
    quiet: bool = False,
) -> Fanout:
    """Put a command's renderers together.

    Args:
        json: Whether standard output has JSON lines, and nothing else.
        stdout: Takes results.
        stderr: Takes words for a person.
        env: ``NO_COLOR`` and ``TERM`` are looked at.
        verbose: Whether the hosts' log lines are shown.
        quiet: Whether progress is left out.

    Returns:
        A renderer that survives the failure of each of its parts.
    """
    results, words = Output.of(stdout, env), Output.of(stderr, env)
    end = JsonLines(results, verbose=verbose) if json else ReportTable(results, words)
    return Fanout((end,) if quiet else (_progress(words, env, verbose), end), words)


def _progress(words: Output, env: Mapping[str, str], verbose: bool) -> Renderer:
    live = is_terminal(words.stream) and env.get("TERM", "dumb") != "dumb"
    if live:
        return Terminal(words, time.monotonic, verbose=verbose)
    return PlainLines(words, time.monotonic, verbose=verbose)
