"""The runs of a fleet on this machine: a log that never stops a deployment, and never lies.

Hosts themselves are the truth. A run is in the database, or, where that could not be used then, in
its folder only.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.core.errors import UsageError
from orchestrator.core.outcome import outcome_name
from orchestrator.core.run import Before, HostResult, PastResult, PastRun, Report
from orchestrator.core.store import OutPath
from orchestrator.runs.files import RunFolders, store_path
from orchestrator.runs.history_file import DamagedHistoryError, HistoryError, HistoryFile

T = TypeVar("T")

_ROW = (int, str, str, str | None, str, float | None, int | None)
"""What a row of ``runs`` has."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A run's number and folder.

    Attributes:
        number: No other run of this fleet on this machine has it.
        folder: It was made for it.
        notice: Why the database does not have the run, or has no other; ``None`` where it has.
    """

    number: int
    folder: Path
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """Runs, newest first.

    Attributes:
        notice: Why only the runs' folders could be asked; ``None`` where the database was.
    """

    runs: tuple[PastRun, ...]
    notice: str | None = None


class History:
    """What is known of one fleet's runs.

    Args:
        file: The database; runs' folders are in ``runs`` beside it.
    """

    def __init__(self, file: Path) -> None:
        self._file = HistoryFile(file)
        self._folders = RunFolders(file.parent / "runs")

    def begin(self, who: str, revision: str | None, title: str, started: datetime) -> Begun:
        """Give a run its number and its folder, and enter it.

        Raises:
            OrchestratorError: There is no place for the run's folder.
        """
        row = (started.astimezone(UTC).isoformat(), who, revision, title)
        try:
            (number, folder), notice = self._healed(lambda: self._enter(row))
        except HistoryError as error:
            number, folder = self._folders.claim_next()
            return Begun(number, folder, f"{error.message}; run {number} goes on without it")
        return Begun(number, folder, notice)

    def finish(self, report: Report) -> str | None:
        """Enter how a run ended, and the run itself where that could not be done before.

        Returns:
            Why something could not be kept; ``None`` where all was.
        """
        try:
            _, notice = self._healed(lambda: self._end(report))
        except HistoryError as error:
            return f"{error.message}; how run {report.run.number} ended is in its folder only"
        return notice

    def recent(self, count: int) -> Past:
        """The newest runs; of those that the database has not, what their folders tell."""
        try:
            kept, notice = self._rows(count), None
        except HistoryError as error:
            kept, notice = {}, f"{error.message}; what follows is told by the runs' folders"
        numbers = sorted({*kept, *self._folders.numbers()[:count]}, reverse=True)[:count]
        return Past(tuple(self._told(number, kept.get(number)) for number in numbers), notice)

    def run(self, number: int) -> PastRun:
        """One run.

        Raises:
            UsageError: No such run is known on this machine.
        """
        with contextlib.suppress(HistoryError):
            if kept := self._rows(1, number):
                return self._told(number, kept[number])
        if number not in self._folders.numbers():
            raise UsageError(
                f"there is no run {number} of this fleet on this machine",
                hint="orchestrator run list lists those that there are",
            )
        return self._told(number, None)

    def results(self, number: int) -> dict[str, PastResult]:
        """What became of each host in a run, and what it was before; empty where it is unknown."""
        with contextlib.suppress(HistoryError):
            if kept := self._results(number):
                return kept
        return self._folders.results(number)

    def last_reached(self, host: str) -> datetime | None:
        """When the last run began that ended with the host at its target; ``None``: unknown."""
        query = (
            "SELECT max(started) FROM runs JOIN results ON run = number "
            "WHERE host = ? AND outcome IN ('unchanged', 'deployed') AND goal NOT LIKE 'plan %'"
        )
        with (
            contextlib.suppress(HistoryError, ValueError, TypeError),
            self._file.open() as database,
        ):
            (started,) = database.execute(query, (host,)).fetchone()
            return datetime.fromisoformat(started) if started else None
        return None

    def has_deployed(self, host: str, system: OutPath) -> bool:
        """Whether a run from here brought a host to a system that was evaluated for it.

        What a host was before a run, or went back to, is the host's own word, and does not count.
        """
        query = (
            "SELECT 1 FROM runs JOIN results ON run = number WHERE host = ? AND out_path = ? "
            "AND outcome = 'deployed' AND goal <> 'rollback' AND goal NOT LIKE 'plan %' LIMIT 1"
        )
        with contextlib.suppress(HistoryError), self._file.open() as database:
            return database.execute(query, (host, system.path)).fetchone() is not None
        return False

    def _told(self, number: int, kept: PastRun | None) -> PastRun:
        """A run as the database has it; where that has not its end, the run's folder may."""
        if kept is not None and kept.exit_code is not None:
            return kept
        told = self._folders.read(number)
        if kept is None or told.exit_code is not None:
            return told
        return replace(kept, alive=told.alive)

    def _healed(self, act: Callable[[], T]) -> tuple[T, str | None]:
        """Act; where the database is damaged, set it aside and act on a new one."""
        try:
            return act(), None
        except DamagedHistoryError as error:
            aside = self._file.set_aside()
            return act(), f"{error.message}; it was set aside as {aside}, and a new one was begun"

    def _enter(self, row: tuple[str | None, ...]) -> tuple[int, Path]:
        folder: Path | None = None
        try:
            with self._file.open(write=True) as database:
                number, folder = self._claim(database, _insert(database, row))
            return number, folder
        except HistoryError:
            if folder is not None:
                folder.rmdir()  # the number was not entered, and goes to who comes next
            raise

    def _claim(self, database: sqlite3.Connection, number: int) -> tuple[int, Path]:
        """Make the folder of the run that was entered last."""
        if number > 1 or not self._folders.last():
            with contextlib.suppress(FileExistsError):
                return number, self._folders.claim(number)
        # The database is new, or that number was given to a run which it does not know.
        last = self._folders.last()
        database.execute("UPDATE runs SET number = ? WHERE number = ?", (last + 1, number))
        database.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'runs'", (last + 1,))
        return last + 1, self._folders.claim(last + 1)

    def _end(self, report: Report) -> None:
        run = report.run
        started = run.started.astimezone(UTC).isoformat()
        ending = (report.seconds, report.exit_code)
        with self._file.open(write=True) as database:
            database.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (number) "
                "DO UPDATE SET seconds = excluded.seconds, exit_code = excluded.exit_code",
                (run.number, started, run.who, run.revision, run.title, *ending),
            )
            database.executemany(
                "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(run.number, name, *_columns(result)) for name, result in report.hosts.items()],
            )

    def _rows(self, count: int, number: int | None = None) -> dict[int, PastRun]:
        """The newest runs, or the one of a number."""
        with self._file.open() as database:
            runs = database.execute(
                "SELECT number, started, who, revision, goal, seconds, exit_code FROM runs "
                "WHERE ? IN (number, -1) ORDER BY number DESC LIMIT ?",
                (-1 if number is None else number, count),
            ).fetchall()
            return {row[0]: _past(row, database) for row in runs}

    def _results(self, number: int) -> dict[str, PastResult]:
        query = (
            "SELECT host, outcome, out_path, before_running, before_profile, before_boot_default "
            "FROM results WHERE run = ?"
        )
        with self._file.open() as database:
            rows = database.execute(query, (number,)).fetchall()
        return {host: _result(outcome, *paths) for host, outcome, *paths in rows}


def _insert(database: sqlite3.Connection, row: tuple[str | None, ...]) -> int:
    query = "INSERT INTO runs (started, who, revision, goal) VALUES (?, ?, ?, ?)"
    number = database.execute(query, row).lastrowid
    assert number is not None
    return number


def _columns(result: HostResult) -> tuple[Any, ...]:
    outcome, before = result.outcome, result.before or Before()
    paths = (
        getattr(outcome, "out_path", None),
        before.running,
        before.profile,
        before.boot_default,
    )
    out, *rest = (None if path is None else path.path for path in paths)
    return (outcome_name(outcome), outcome.reason, out, result.seconds, *rest)


def _past(row: tuple[Any, ...], database: sqlite3.Connection) -> PastRun:
    number, started, who, revision, goal, seconds, code = row
    query = "SELECT host, outcome FROM results WHERE run = ? ORDER BY host"
    hosts = tuple(database.execute(query, (number,)))
    # A flipped bit may make another type of a value: SQLite does not mind.
    if not all(map(isinstance, row, _ROW)) or not all(
        isinstance(text, str) for pair in hosts for text in pair
    ):
        raise DamagedHistoryError(f"the history is damaged: of run {number} it has what is none")
    return PastRun(number, started, who, revision, goal, seconds, code, hosts)


def _result(outcome: str, *texts: str | None) -> PastResult:
    out, *paths = map(store_path, texts)
    return PastResult(outcome, out, Before(*paths) if any(paths) else None)
