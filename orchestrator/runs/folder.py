"""One run's folder: what is in it, read by others; what they order the run to do."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Protocol

from orchestrator.core import beneath, files
from orchestrator.core.errors import UsageError, cause_of
from orchestrator.core.rollout import Order, RolloutStatus
from orchestrator.core.run import PastRun
from orchestrator.core.stored import DamagedError, decode
from orchestrator.runs.model import (
    FORMAT,
    Asked,
    Entry,
    LoggedLine,
    NothingAskedError,
    RunRecord,
)

EVENTS, LOG, PROGRESS, ORDER = "events.jsonl", "log", "progress.json", "order.json"
PACKED = ".gz"
"""Ends the names of the first two once the run has ended; the others are gone then."""

MOST, LONGEST = 1 << 30, 64 << 20
"""Bytes of a file that are read, and of a line: a thousand hosts' report has half a million."""


class _Lines(Protocol):
    def readline(self, size: int, /) -> bytes: ...


class RunFolder:
    """The folder of one run.

    While the run goes on its process has the events file locked by flock(2): the kernel lets go of
    it whatever the process dies of.

    Args:
        runs: The folder of all runs.
        number: The run's.
    """

    def __init__(self, runs: Path, number: int) -> None:
        self._runs = runs
        self.number = number
        self.path = runs / str(number)

    @property
    def is_there(self) -> bool:
        """Whether there is such a run."""
        return self.path.is_dir() and not self.path.is_symlink()

    @property
    def is_alive(self) -> bool:
        """Whether the run's process lives, as far as can be told."""
        try:
            with self._open(EVENTS) as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # such as none: it ended, or could not show that it lived
            return False
        return False

    def died(self, token: str) -> bool:
        """Whether this was the run of that token, and its process is no more."""
        with contextlib.suppress(UsageError):
            return not self.is_alive and self.asked().token == token
        return False

    def stamp(self) -> str:
        """Tell one content of the events from every other one; empty while the run is alive."""
        for name in (EVENTS + PACKED, EVENTS):
            with contextlib.suppress(OSError):
                found = (self.path / name).lstat()
                is_over = name != EVENTS or not self.is_alive
                return f"{name} {found.st_size} {found.st_mtime_ns}" if is_over else ""
        return ""

    def record(self) -> RunRecord:
        """Read all that the run left; what is damaged is told by the record."""
        record = RunRecord()
        try:
            for number, line in enumerate(self._lines(EVENTS), 1):
                try:
                    record.add(decode(Entry, line).event)
                except DamagedError as error:
                    record.damage = f"line {number} of its events: {error}"
        except DamagedError as error:
            record.damage = str(error)
        record.status = self._progress() or record.status
        return record

    def past(self, record: RunRecord | None = None) -> PastRun:
        """Tell of the run in one line; of a record, where it was read already."""
        # Asked first: a run that is not alive any more has told all that it ever will.
        alive = self.is_alive
        return (record or self.record()).past(self.number, self._began(), alive=alive)

    def status(self) -> RolloutStatus | None:
        """Where the rollout is or was; ``None`` where nothing tells."""
        return self._progress() or self.record().status

    def asked(self) -> Asked:
        """What the run was asked for.

        Raises:
            UsageError: That is not known, or cannot be read.
        """
        try:
            first = next(self._lines(EVENTS), None)
            entry = None if first is None else decode(Entry, first)
        except DamagedError as error:
            said = f"what run {self.number} was asked for cannot be read: {error}"
            raise UsageError(said) from error
        if entry is None or not isinstance(entry.event, Asked):
            raise NothingAskedError(
                f"what run {self.number} was asked for is not known: it kept nothing of it",
                hint="give the command again: hosts at their target are unchanged",
            )
        if entry.event.format != FORMAT:
            raise UsageError(f"run {self.number} is of a newer orchestrator")
        return entry.event

    def put_order(self, order: Order) -> None:
        """Tell the run something; what it was told before and has not heard is gone.

        Raises:
            OSError: It cannot be written.
        """
        files.save(self.path / ORDER, order)

    def log(self) -> Iterator[LoggedLine]:
        """Read the log, up to where it was cut off.

        Raises:
            DamagedError: It is damaged from there on.
        """
        for line in self._lines(LOG):
            time, _, rest = line.decode(errors="replace").rstrip("\n").partition(" ")
            host, _, text = rest.partition(" ")
            yield LoggedLine(time, "" if host == "-" else host, text)

    def _began(self) -> str:
        """When the folder was made: for a run that tells nothing else."""
        seconds = 0.0
        with contextlib.suppress(OSError):
            seconds = self.path.lstat().st_mtime
        return datetime.fromtimestamp(seconds, UTC).isoformat()

    def size(self) -> int:
        """The bytes of its files."""
        with contextlib.suppress(OSError):
            return sum(file.lstat().st_size for file in self.path.iterdir())
        return 0

    def _progress(self) -> RolloutStatus | None:
        with contextlib.suppress(OSError, DamagedError):
            return files.load(self._runs, f"{self.number}/{PROGRESS}", RolloutStatus)
        return None

    def _lines(self, name: str) -> Iterator[bytes]:
        """Lines that are whole: what a killed process left at the end of the last one is not.

        Raises:
            DamagedError: The file is damaged from here on.
        """
        room = MOST
        try:
            with self._either(name) as file:
                while room > 0 and (line := file.readline(LONGEST)).endswith(b"\n"):
                    room -= len(line)
                    yield line
        except FileNotFoundError:
            return
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DamagedError(f"{name} cannot be unpacked from here on") from error
        except OSError as error:
            raise DamagedError(f"{name}: {cause_of(error)}") from error
        if room <= 0:
            raise DamagedError(f"{name} has more than {MOST >> 20} MiB")

    @contextlib.contextmanager
    def _either(self, name: str) -> Iterator[_Lines]:
        """Open a file, be it packed already or not yet."""
        try:
            packed = self._open(name + PACKED)
        except FileNotFoundError:
            with self._open(name) as file:
                yield file
        else:
            with packed, gzip.GzipFile(fileobj=packed) as unpacked:
                yield unpacked

    def _open(self, name: str) -> IO[bytes]:
        file = os.fdopen(beneath.open_file(self._runs, f"{self.number}/{name}"), "rb")
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise OSError("it is no regular file")
        return file
