"""The history's SQLite file: its tables, older versions of them, and all that can be wrong."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from orchestrator.core.errors import OrchestratorError

VERSION = 2
"""``PRAGMA user_version``: what is older is brought here, what is newer is left alone."""

LOCKED_SECONDS = 5.0
"""For another process to let go of the database."""

_STEPS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE IF NOT EXISTS runs (
          number INTEGER PRIMARY KEY AUTOINCREMENT,
          started TEXT NOT NULL,
          who TEXT NOT NULL,
          revision TEXT,
          goal TEXT NOT NULL,
          seconds REAL,
          exit_code INTEGER
        )
        """,
        """
        CREATE TABLE IF NOT EXISTS results (
          run INTEGER NOT NULL REFERENCES runs (number),
          host TEXT NOT NULL,
          outcome TEXT NOT NULL,
          reason TEXT NOT NULL,
          out_path TEXT,
          seconds REAL NOT NULL,
          PRIMARY KEY (run, host)
        )
        """,
    ),
    (
        "ALTER TABLE results ADD COLUMN before_running TEXT",
        "ALTER TABLE results ADD COLUMN before_profile TEXT",
        "ALTER TABLE results ADD COLUMN before_boot_default TEXT",
    ),
)
"""What leads from each version to the next."""


class HistoryError(OrchestratorError):
    """The database cannot be used: it is locked or newer, the disk is full, the file another's."""


class DamagedHistoryError(HistoryError):
    """The database cannot be read any more."""


class HistoryFile:
    """The file; it and its folder are made where they are missing.

    Args:
        path: The database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def open(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        """Open it for one transaction, which ends with the context.

        Raises:
            HistoryError: It cannot be used.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            database = sqlite3.connect(self.path, timeout=LOCKED_SECONDS, isolation_level=None)
            with contextlib.closing(database):
                self._ready(database)
                with _transaction(database, write=write):
                    yield database
        except (OSError, sqlite3.OperationalError) as error:
            raise HistoryError(
                f"the history {self.path} cannot be used: {error}",
                hint="is the disk full, another process at it, or the file another user's?",
            ) from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise DamagedHistoryError(
                f"the history {self.path} is damaged: {error}",
                hint="the next deployment sets it aside and begins a new one",
            ) from error

    def set_aside(self) -> Path:
        """Move a damaged database out of the way; a person may want it.

        Raises:
            HistoryError: It stays where it is.
        """
        aside = self.path.with_suffix(f".unreadable-{datetime.now():%Y%m%d-%H%M%S}")
        try:
            return self.path.rename(aside)
        except OSError as error:
            raise HistoryError(f"the damaged {self.path} cannot be set aside: {error}") from error

    def _ready(self, database: sqlite3.Connection) -> None:
        """Bring the tables to this version."""
        if (version := _version(database)) > VERSION:
            raise HistoryError(
                f"the history {self.path} was written by a newer orchestrator "
                f"(version {version}, this one knows {VERSION})",
                hint="it is left as it is; use that orchestrator, or update this one",
            )
        if version == VERSION:
            return
        with _transaction(database, write=True):
            # Asked again: another process may have done it just now.
            for step in _STEPS[_version(database) :]:
                for statement in step:
                    database.execute(statement)
            database.execute(f"PRAGMA user_version = {VERSION}")


def _version(database: sqlite3.Connection) -> int:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return int(version)


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection, *, write: bool) -> Iterator[None]:
    """All of it is written, or nothing."""
    database.execute("BEGIN IMMEDIATE" if write else "BEGIN")
    with database:
        yield
