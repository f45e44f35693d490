"""The runs of a fleet on this machine, in SQLite. A log: hosts themselves are the truth."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.errors import OrchestratorError
from orchestrator.model.outcome import outcome_name
from orchestrator.model.run import PastRun, Report

VERSION = 1
"""``PRAGMA user_version``: a database of another version is set aside, not misread."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  started TEXT NOT NULL,
  who TEXT NOT NULL,
  revision TEXT,
  goal TEXT NOT NULL,
  seconds REAL,
  exit_code INTEGER
);
CREATE TABLE IF NOT EXISTS results (
  run INTEGER NOT NULL REFERENCES runs (number),
  host TEXT NOT NULL,
  outcome TEXT NOT NULL,
  reason TEXT NOT NULL,
  out_path TEXT,
  seconds REAL NOT NULL,
  PRIMARY KEY (run, host)
);
"""


class UnreadableHistoryError(OrchestratorError):
    """The database is damaged, or of another version."""


class History:
    """The database of one fleet's runs.

    Args:
        file: The database; it and its folder are made where they are missing.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def begin(self, who: str, revision: str | None, goal: str, started: datetime) -> int:
        """Enter a run and give it its number.

        Raises:
            OrchestratorError: The database cannot be written.
        """
        row = (started.astimezone(UTC).isoformat(), who, revision, goal)
        try:
            return self._insert(row)
        except UnreadableHistoryError:
            self._set_aside()
            return self._insert(row)

    def _insert(self, row: tuple[str | None, ...]) -> int:
        query = "INSERT INTO runs (started, who, revision, goal) VALUES (?, ?, ?, ?)"
        with self._open() as database:
            number = database.execute(query, row).lastrowid
        assert number is not None
        return number

    def finish(self, report: Report) -> None:
        """Enter how a run ended.

        Raises:
            OrchestratorError: The database cannot be written.
        """
        rows = [
            (
                report.run.number,
                name,
                outcome_name(result.outcome),
                result.outcome.reason,
                str(getattr(result.outcome, "out_path", None) or "") or None,
                result.seconds,
            )
            for name, result in report.hosts.items()
        ]
        with self._open() as database:
            database.execute(
                "UPDATE runs SET seconds = ?, exit_code = ? WHERE number = ?",
                (report.seconds, report.exit_code, report.run.number),
            )
            database.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?)", rows)

    def recent(self, count: int) -> tuple[PastRun, ...]:
        """The newest runs, newest first."""
        with self._open() as database:
            runs = database.execute(
                "SELECT number, started, who, revision, goal, seconds, exit_code FROM runs "
                "ORDER BY number DESC LIMIT ?",
                (count,),
            ).fetchall()
            return tuple(_past(row, database) for row in runs)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open, and commit at the end."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            database = self._ready()
            with contextlib.closing(database), database:
                yield database
        except (OSError, sqlite3.OperationalError) as error:
            raise OrchestratorError(
                f"the history {self._file} cannot be written: {error}",
                hint="is the disk full, or the file another user's?",
            ) from error
        except sqlite3.DatabaseError as error:
            raise UnreadableHistoryError(
                f"the history {self._file} is damaged or of another version: {error}",
                hint="the next deployment sets it aside and begins a new one",
            ) from error

    def _ready(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._file, timeout=10)
        try:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version == VERSION:
                return database
            if version != 0:
                raise sqlite3.DatabaseError(f"version {version}")
            database.executescript(_SCHEMA)
            database.execute(
                "INSERT OR IGNORE INTO sqlite_sequence SELECT 'runs', ? "
                "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'runs')",
                (self._last_folder(),),
            )
            # Last: with it the database counts as ready.
            database.execute(f"PRAGMA user_version = {VERSION}")
            database.commit()
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _last_folder(self) -> int:
        """The highest run that left a folder: a new database never gives a number twice."""
        numbers = [
            int(path.name) for path in self._file.parent.glob("runs/*") if path.name.isdecimal()
        ]
        return max(numbers, default=0)

    def _set_aside(self) -> None:
        self._file.rename(self._file.with_suffix(f".unreadable-{datetime.now():%Y%m%d-%H%M%S}"))


def _past(row: tuple[Any, ...], database: sqlite3.Connection) -> PastRun:
    number, started, who, revision, goal, seconds, code = row
    query = "SELECT host, outcome FROM results WHERE run = ? ORDER BY host"
    hosts = tuple(database.execute(query, (number,)))
    return PastRun(number, started, who, revision, goal, seconds, code, hosts)
