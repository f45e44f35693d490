"""Errors as a person reads them: what happened, what to do next, what the command said."""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchestrator.core.errors import OrchestratorError, StepError
from orchestrator.core.lines import split_lines
from orchestrator.core.outcome import Problem
from orchestrator.render.output import Colour, Output
from orchestrator.render.text import clean

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
        log: The path of its full log.
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
