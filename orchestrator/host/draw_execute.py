"""What commands say on hosts, line by line as it comes, or as one JSON object a host."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence

from orchestrator.core.bounds import ANSWER, Intake, Liner
from orchestrator.core.process import how_it_ended
from orchestrator.host.execute import ExecResult, ExecStatus
from orchestrator.render.output import Colour, Output, clean, duration, pad
from orchestrator.render.report import draw_step_error
from orchestrator.ssh.runner import ByteSink


class _Lines:
    """Hands on whole lines, and what is left at the end."""

    def __init__(self, on_line: Callable[[bytes], None]) -> None:
        self._liner = Liner(on_line)

    def write(self, data: bytes) -> None:
        """Take a piece."""
        self._liner.take(data)

    def end(self) -> None:
        """Hand on a last line that has no newline."""
        self._liner.end()


class LiveLines:
    """Each line as it comes, the host's name before it; what controls a terminal is left out.

    Args:
        names: The hosts' names.
        results: Takes what commands print.
        words: Takes what they print on standard error, and what came of them.
    """

    def __init__(self, names: Sequence[str], results: Output, words: Output) -> None:
        self._width = max(map(len, names), default=0)
        self._results = results
        self._words = words
        self._lock = threading.Lock()
        self._sinks: dict[str, list[_Lines]] = {}

    def sink(self, host: str, *, stderr: bool) -> ByteSink:
        """Give what takes a stream of a host."""
        output = self._words if stderr else self._results
        name = output.paint(f"{pad(host, self._width)} |", Colour.FAINT)

        def line(data: bytes) -> None:
            # Who reads no more does not end what runs.
            with self._lock, contextlib.suppress(BrokenPipeError):
                output.line(f"{name} {clean(data.decode(errors='replace'))}")

        lines = _Lines(line)
        self._sinks.setdefault(host, []).append(lines)
        return lines

    def ended(self, result: ExecResult) -> None:
        """Write what is left of its last lines, and why it failed."""
        for lines in self._sinks[result.host]:
            lines.end()
        with self._lock:
            draw_result(result, self._words)

    def stopping(self) -> None:
        """Say that it takes a moment."""
        with self._lock:
            self._words.line("stopping; what runs is being ended, which takes a few seconds")


class JsonLines:
    """One JSON object a host, as soon as its command ended.

    Args:
        results: Takes them.
        words: Takes what is for people.
    """

    def __init__(self, results: Output, words: Output) -> None:
        self._results = results
        self._words = words
        self._lock = threading.Lock()
        self._taken: dict[tuple[str, bool], Intake] = {}

    def sink(self, host: str, *, stderr: bool) -> ByteSink:
        """Give what keeps a stream of a host, as far as that is bounded."""
        intake = Intake(ANSWER)
        self._taken[host, stderr] = intake
        return _Kept(intake)

    def ended(self, result: ExecResult) -> None:
        """Write what came of it."""
        said = [self._taken.pop((result.host, stderr)) for stderr in (False, True)]
        out, err = (intake.taken.decode(errors="replace") for intake in said)
        with self._lock, contextlib.suppress(BrokenPipeError):
            self._results.line(json.dumps(exec_json(result, out, err)))

    def stopping(self) -> None:
        """Say that it takes a moment."""
        self._words.line("stopping; what runs is being ended, which takes a few seconds")


class _Kept:
    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def write(self, data: bytes) -> None:
        """Take a piece.

        Raises:
            TooMuchError: It is more than is kept.
        """
        self._intake.take(data)


def exec_json(result: ExecResult, stdout: str, stderr: str) -> dict[str, object]:
    """A host's result as JSON: docs/host-commands.md."""
    error = result.error
    return {
        "host": result.host,
        "status": result.status.value,
        "exit_code": result.exit_code,
        "stdout": stdout,
        "stderr": stderr,
        "seconds": round(result.seconds, 3),
        "may_still_run": result.may_run,
        "error": None
        if error is None
        else {"message": error.message, "hint": error.hint, "command": error.command},
    }


def draw_result(result: ExecResult, words: Output) -> None:
    """Write why a command failed on a host; nothing where it did not."""
    if result.error is not None:
        draw_step_error(result.host, result.error, words)
    elif result.exit_code is not None and result.exit_code != 0:
        name = words.paint("error:", Colour.BAD)
        ended = how_it_ended(result.exit_code)
        words.line(f"{name} host '{result.host}': {ended} after {duration(result.seconds)}")


def draw_summary(results: Sequence[ExecResult], words: Output, *, counts: bool = True) -> None:
    """Write how many succeeded, where that is wanted, and where the command may still run."""
    counted = Counter(result.status for result in results)
    said = [f"{counted[status]} {status.value}" for status in ExecStatus if counted[status]]
    if counts and (len(results) > 1 or counted[ExecStatus.SUCCEEDED] == 0):
        words.line(f"{len(results)} host{'s' * (len(results) > 1)}: {', '.join(said)}")
    for result in results:
        if result.may_run:
            name = words.paint("warning:", Colour.WARN)
            words.line(f"{name} host '{result.host}': the command may still run there")
            words.line(f"hint: look: orchestrator host ssh {result.host}")
