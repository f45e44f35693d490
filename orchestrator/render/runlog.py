"""A run's folder: every event, a log for each host, and the report."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO, assert_never

from orchestrator.core.event import (
    Event,
    HostFinished,
    LogLine,
    Notice,
    Paused,
    Phase,
    PhaseStarted,
    Progress,
    Recalled,
    RunFinished,
    RunStarted,
    WaveEnded,
    WaveStarted,
)
from orchestrator.core.foreign import split_lines
from orchestrator.core.outcome import Problem
from orchestrator.core.run import Report
from orchestrator.render.event_json import to_json
from orchestrator.render.output import clean, duration, outcome_word, problem_of
from orchestrator.render.renderer import Renderer, WallClock

OPEN = 64
"""Files that are open at a time: a thousand hosts have a thousand logs."""


class RunLog(Renderer):
    """Writes ``events.jsonl``, ``NAME.log`` and ``report.json`` into the run's folder.

    Only its owner may read it: what a build or a host says may be anything.

    Args:
        clock: The time of day, for each line.
    """

    def __init__(self, clock: WallClock) -> None:
        self._clock = clock
        self._folder: Path | None = None
        self._files: dict[str, TextIO] = {}
        self._held: dict[str, str] = {}

    def handle(self, event: Event) -> None:
        """Write an event down. Nothing is written before a run has begun."""
        if isinstance(event, RunStarted):
            self._folder = Path(event.run.folder)
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._folder is None:
            return
        now = self._clock()
        entry = {"at": now.isoformat(timespec="milliseconds"), **to_json(event)}
        self._file("events.jsonl").write(json.dumps(entry) + "\n")
        stamp = f"{now:%H:%M:%S}.{now.microsecond // 1000:03}"
        for host, text in _log_lines(event):
            self._held[host] = self._held.get(host, "") + f"{stamp} {clean(text)}\n"
            if not _can_wait(event):
                self._release(host)
        if isinstance(event, HostFinished):
            self._close(f"{event.host}.log")
        if isinstance(event, RunFinished):
            self._write_report(self._folder, event.report)
            # What comes then is of no run, or of the next one, which has a folder of its own.
            self.close()
            self._folder = None

    def close(self) -> None:
        """Close every file."""
        for host in list(self._held):
            self._release(host)
        for name in list(self._files):
            self._close(name)

    def _release(self, host: str) -> None:
        self._file(f"{host}.log").write(self._held.pop(host))

    def _close(self, name: str) -> None:
        if file := self._files.pop(name, None):
            file.close()

    def _file(self, name: str) -> TextIO:
        """A file to write to: the one that was not used for longest makes room for it."""
        file = self._files.pop(name, None)
        if file is None:
            if len(self._files) >= OPEN:
                self._close(next(iter(self._files)))
            assert self._folder is not None
            # Line by line: a log that is read while the run goes on, or after a crash, is whole.
            file = open(  # noqa: SIM115 -- Path.open() takes no opener
                self._folder / name, "a", buffering=1, encoding="utf-8", opener=_private
            )
        self._files[name] = file
        return file

    def _write_report(self, folder: Path, report: Report) -> None:
        text = json.dumps(to_json(RunFinished(report)), indent=2) + "\n"
        part = folder / "report.json.part"
        with open(part, "w", encoding="utf-8", opener=_private) as file:
            file.write(text)
        part.replace(folder / "report.json")


def _can_wait(event: Event) -> bool:
    """Whether a host's log can wait for its next line: ``events.jsonl`` has it already.

    Of a thousand hosts without changes each has a file that is opened and written once.
    """
    match event:
        case Recalled() | PhaseStarted(phase=Phase.WAIT | Phase.ASK):
            return True
        case _:
            return False


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)


def _log_lines(event: Event) -> Iterable[tuple[str, str]]:
    """Say which hosts' logs an event belongs in, and how it reads there."""
    match event:
        case PhaseStarted(host=host, phase=phase):
            yield host, f"== {phase.value}"
        case Recalled(host=host, known=known, reason=reason):
            yield host, f"{'not evaluated' if known else 'to be evaluated'}: {reason}"
        case LogLine(host=host, text=text):
            for line in split_lines(text) or [""]:
                yield host, line
        case Notice(text=text, host=str(host), warning=warning):
            yield host, f"{'warning' if warning else 'notice'}: {text}"
        case HostFinished(host=host, outcome=outcome, seconds=seconds):
            yield host, f"== {outcome_word(outcome)} in {duration(seconds)}: {outcome.reason}"
            problem = problem_of(outcome)
            if problem is not None:
                for line in _problem_lines(problem):
                    yield host, line
        case Notice() | Progress() | RunStarted() | RunFinished():
            pass
        case WaveStarted() | WaveEnded() | Paused():
            pass
        case _:
            assert_never(event)


def _problem_lines(problem: Problem) -> Iterable[str]:
    yield f"error: {problem.step} failed: {problem.message}"
    if problem.host_state:
        yield f"now: {problem.host_state}"
    if problem.hint:
        yield f"hint: {problem.hint}"
    if problem.command:
        yield f"repeat by hand: {problem.command}"
    yield from (f"  | {line}" for line in problem.stderr)
