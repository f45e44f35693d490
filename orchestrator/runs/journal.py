"""A run writes down what happens: its events, its log, where it is. It hears what it is ordered.

Nothing is kept of a host that is unchanged but its line in the report. A full disk stops no run.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import os
import shutil
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self, assert_never

from orchestrator.core import files
from orchestrator.core.errors import cause_of
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
from orchestrator.core.outcome import Problem, Unchanged
from orchestrator.core.rollout import Order, RolloutStatus
from orchestrator.core.run import DeployRequest, Run
from orchestrator.core.stored import DamagedError, encode
from orchestrator.core.units import split_lines
from orchestrator.render.output import clean, duration, outcome_word, problem_of
from orchestrator.render.plain import of_waves, started
from orchestrator.render.report import summary
from orchestrator.runs.folder import EVENTS, LOG, ORDER, PACKED, PROGRESS
from orchestrator.runs.model import Asked, Entry, LastStatus, Record

Emit = Callable[[Event], None]


class Journal:
    """What one run writes into its folder; only its owner may read it.

    Args:
        run: The run; its folder is there.
        request: What it was asked for, with its waves.
        token: Names it on hosts.
        clock: The time of day.
        notices: What is to be told once the run has begun.

    Attributes:
        run: The run.
        token: Names it on hosts.
    """

    def __init__(
        self,
        run: Run,
        request: DeployRequest,
        token: str,
        clock: Callable[[], datetime] = lambda: datetime.now().astimezone(),
        notices: Iterable[str] = (),
    ) -> None:
        self.run = run
        self.token = token
        self._clock = clock
        self._notices = list(notices)
        self._folder = Path(run.folder)
        self._status: RolloutStatus | None = None
        self._held: dict[str, list[tuple[datetime, Event]]] = {}
        self._ended = self._complained = False
        self._files: dict[str, _Whole] = {}
        try:
            for name in (EVENTS, LOG):
                self._files[name] = _Whole(self._folder / name)
            fcntl.flock(self._files[EVENTS].descriptor, fcntl.LOCK_EX)
            self._write(self._clock(), Asked(run, token, request))
        except OSError as error:
            text = "other terminals and `run resume` will not know of this run"
            self._complain(f"{text}: {cause_of(error)}")

    def recording(self, emit: Emit) -> Emit:
        """Have every event written down before it goes on to ``emit``."""

        def handle(event: Event) -> None:
            try:
                self._record(event)
            except OSError as error:
                self._complain(
                    f"the run's folder cannot be written: {cause_of(error)}; the run goes on"
                )
            emit(event)
            if not isinstance(event, RunFinished):
                while self._notices:
                    emit(Notice(self._notices.pop(0), warning=True))

        return handle

    def write_status(self, status: RolloutStatus) -> None:
        """Replace what is told of the rollout.

        Raises:
            OSError: It cannot be written.
        """
        self._status = status
        files.save(self._folder / PROGRESS, status)

    def order(self) -> Order | None:
        """What a person ordered last, from another terminal."""
        # By no number: a folder among temporary files has neighbours that anyone may make.
        with contextlib.suppress(OSError, DamagedError):
            return files.load(self._folder, ORDER, Order)
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files; where the run told its end, pack them."""
        with contextlib.suppress(OSError):
            for host in list(self._held):
                self._release(host)
            if self._ended:
                for name in (LOG, EVENTS):
                    self._files[name].pack()
                for name in (PROGRESS, ORDER):
                    (self._folder / name).unlink(missing_ok=True)
        # From here on the run is not alive any more.
        for file in self._files.values():
            file.close()

    def _complain(self, text: str) -> None:
        """Tell once that something could not be written."""
        if not self._complained:
            self._complained = True
            self._notices.append(text)

    def _record(self, event: Event) -> None:
        if EVENTS not in self._files or LOG not in self._files:
            return
        now = self._clock()
        host = getattr(event, "host", None)
        if host is None:
            if isinstance(event, RunFinished) and self._status is not None:
                self._write(now, LastStatus(self._status))
            self._write(now, event)
            self._ended = self._ended or isinstance(event, RunFinished)
        elif _can_wait(event):
            self._held.setdefault(host, []).append((now, event))
        elif isinstance(event, HostFinished) and _is_unchanged(event) and host in self._held:
            del self._held[host]  # nothing was done there: the report is all that is to be told
        elif not isinstance(event, Progress):
            self._release(host)
            self._write(now, event)

    def _release(self, host: str) -> None:
        for at, event in self._held.pop(host, ()):
            self._write(at, event)

    def _write(self, at: datetime, event: Record) -> None:
        """Write an entry of the events, and what of it belongs in the log: there only its lines."""
        if not isinstance(event, LogLine):
            self._files[EVENTS].write(encode(Entry(at, event)) + b"\n")
        if not isinstance(event, Asked | LastStatus):
            stamp = f"{at:%H:%M:%S}.{at.microsecond // 1000:03}"
            host = getattr(event, "host", None) or "-"
            lines = (f"{stamp} {host} {clean(text)}\n" for text in _log_lines(event))
            self._files[LOG].write("".join(lines).encode(errors="replace"))


class _Whole:
    """A file that has whole lines only, whatever a full disk or a crash cuts off."""

    def __init__(self, path: Path) -> None:
        self._path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self.descriptor = os.open(path, flags, 0o600)
        self._size = 0

    def write(self, data: bytes) -> None:
        """Write lines at once: a reader sees them though the run goes on, or dies.

        Raises:
            OSError: They were not written.
        """
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self.descriptor, self._size)
                os.lseek(self.descriptor, self._size, os.SEEK_SET)
            raise
        self._size += len(data)

    def pack(self) -> None:
        """Put the compressed file into its place.

        Raises:
            OSError: It cannot be written; the file is there still.
        """
        packed = self._path.with_name(self._path.name + PACKED)
        part = packed.with_name(packed.name + ".part")
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        try:
            with open(part, "xb", opener=_private) as file:
                with (
                    os.fdopen(os.dup(self.descriptor), "rb") as plain,
                    gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6) as stream,
                ):
                    shutil.copyfileobj(plain, stream, 1 << 20)
                file.flush()
                os.fsync(file.fileno())  # before the other one is gone
            part.replace(packed)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        self._path.unlink()

    def close(self) -> None:
        """Close it, and let go of its lock."""
        os.close(self.descriptor)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, mode=0o600)


def _is_unchanged(event: HostFinished) -> bool:
    return isinstance(event.outcome, Unchanged)


def _can_wait(event: Event) -> bool:
    """Whether an event is worth keeping only where something is done about its host."""
    match event:
        case Recalled() | PhaseStarted(phase=Phase.WAIT | Phase.ASK | Phase.EVALUATE):
            return True
        case _:
            return False


def _log_lines(event: Event) -> Iterable[str]:
    """Say how an event reads in the log."""
    match event:
        case RunStarted():
            yield f"{started(event)}, {event.run.started:%Y-%m-%d}"
        case PhaseStarted(phase=phase):
            yield f"== {phase.value}"
        case Recalled(known=known, reason=reason):
            yield f"{'not evaluated' if known else 'to be evaluated'}: {reason}"
        case LogLine(text=text):
            yield from split_lines(text) or [""]
        case Notice(text=text, warning=warning):
            yield f"{'warning' if warning else 'notice'}: {text}"
        case HostFinished(outcome=outcome, seconds=seconds):
            yield f"== {outcome_word(outcome)} in {duration(seconds)}: {outcome.reason}"
            problem = problem_of(outcome)
            if problem is not None:
                yield from _problem_lines(problem)
        case WaveStarted() | WaveEnded() | Paused():
            yield of_waves(event)
        case RunFinished(report=report):
            yield summary(report)
        case Progress():
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
