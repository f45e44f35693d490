"""An index of the runs' folders, for questions about many of them. The folders are the truth.

The database is never changed in place: whoever finds that it lacks a run puts a new one into its
place, so that it is always whole, for any number of processes. Where anything about it is odd, it
is made again from the folders; where it cannot be written, one in memory does.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from orchestrator.core.outcome import Deployed, Unchanged, outcome_names
from orchestrator.core.run import PastRun
from orchestrator.core.stored import DamagedError, decode, encode
from orchestrator.runs.folder import RunFolder

T = TypeVar("T")

VERSION = 5
"""``PRAGMA user_version``: a database of any other one is made again."""

_TABLES = f"""
    CREATE TABLE runs (number INTEGER PRIMARY KEY, stamp TEXT NOT NULL, past BLOB NOT NULL);
    CREATE TABLE deployed (
      host TEXT NOT NULL, run INTEGER NOT NULL, system TEXT NOT NULL, back INTEGER NOT NULL,
      PRIMARY KEY (host, run)
    ) WITHOUT ROWID;
    CREATE TABLE reached (host TEXT PRIMARY KEY, started TEXT NOT NULL) WITHOUT ROWID;
    PRAGMA user_version = {VERSION};
"""
_AT_TARGET = outcome_names(Unchanged, Deployed)
_DEPLOYED = outcome_names(Deployed)

Question = Callable[[sqlite3.Connection], T]

Stamps = Mapping[RunFolder, str]
"""Runs that have ended, and what tells the content of each from every other one."""


class Index:
    """The index of one fleet's runs.

    Args:
        file: The database.
        folders: Gives the folders of all runs there are.
    """

    def __init__(self, file: Path, folders: Callable[[], list[RunFolder]]) -> None:
        self._file = file
        self._folders = folders

    def recent(self, count: int) -> list[PastRun]:
        """The newest runs, newest first; of those that are alive, what they are at."""
        folders = self._folders()[:count]
        oldest = folders[-1].number if folders else 0
        kept = self._ask(lambda database: _past(database, oldest))
        found = (kept.get(folder.number) or _if_there(folder) for folder in folders)
        return [past for past in found if past is not None]

    def last_reached(self, host: str) -> datetime | None:
        """When the last run began that ended with the host at its target."""
        query = "SELECT started FROM reached WHERE host = ?"
        return self._ask(lambda database: _time(database.execute(query, (host,)).fetchone()))

    def has_deployed(self, host: str, system: str) -> bool:
        """Whether a run brought a host to a system that was evaluated for it."""
        query = "SELECT 1 FROM deployed WHERE host = ? AND system = ? AND NOT back LIMIT 1"
        row = self._ask(lambda database: database.execute(query, (host, system)).fetchone())
        return row is not None

    def deployments(self) -> dict[str, list[int]]:
        """The runs that deployed each host, newest first."""
        return self._ask(_deployments)

    def _ask(self, question: Question[T]) -> T:
        """Ask the database that is there, or else one that is made from the folders."""
        # What is alive is not entered before it has ended.
        stamps = {one: stamp for one in self._folders() if (stamp := one.stamp())}
        with contextlib.suppress(sqlite3.Error, OSError, ValueError, TypeError, zlib.error):
            if (state := self._state(stamps)) is not None:
                if state:
                    self._renew(stamps, state)
                with _open(self._file) as database:
                    return question(database)
        with contextlib.suppress(sqlite3.Error, OSError):
            self._renew(stamps, stamps)
            with _open(self._file) as database:
                return question(database)
        with contextlib.closing(sqlite3.connect(":memory:")) as database:
            database.executescript(_TABLES)
            _enter(database, stamps)
            return question(database)

    def _state(self, stamps: Stamps) -> Stamps | None:
        """The runs that the database lacks; ``None`` where it is odd."""
        if not stat.S_ISREG(self._file.lstat().st_mode):
            return None
        with _open(self._file) as database:
            if database.execute("PRAGMA user_version").fetchone() != (VERSION,):
                return None
            known = dict(database.execute("SELECT number, stamp FROM runs").fetchall())
        there = {folder.number: stamp for folder, stamp in stamps.items()}
        if any(there.get(number) != stamp for number, stamp in known.items()):
            return None  # of a run that was removed, or is another one
        return {folder: stamp for folder, stamp in stamps.items() if folder.number not in known}

    def _renew(self, all_: Stamps, lacking: Stamps) -> None:
        """Put a new database into the place of the one that is there."""
        descriptor, part = tempfile.mkstemp(prefix=".history.", dir=self._file.parent)
        os.close(descriptor)
        try:
            if lacking is not all_:
                Path(part).write_bytes(self._file.read_bytes())
            with contextlib.closing(sqlite3.connect(part)) as database:
                database.execute("PRAGMA journal_mode = MEMORY")
                if lacking is all_:
                    database.executescript(_TABLES)
                _enter(database, lacking)
            Path(part).replace(self._file)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _open(file: Path) -> Iterator[sqlite3.Connection]:
    # Immutable: no locks and no journals, as nobody ever writes to it. SQLite's URI filenames.
    uri = f"{file.absolute().as_uri()}?mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
        yield database


def _past(database: sqlite3.Connection, oldest: int) -> dict[int, PastRun]:
    query = "SELECT number, past FROM runs WHERE number >= ?"
    rows = database.execute(query, (oldest,)).fetchall()
    return {number: _sound(decode(PastRun, zlib.decompress(past))) for number, past in rows}


def _sound(past: PastRun) -> PastRun:
    try:
        datetime.fromisoformat(past.started)
    except ValueError as error:
        raise DamagedError(f"{past.started!r} is no time") from error
    return past


def _deployments(database: sqlite3.Connection) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for host, run in database.execute("SELECT host, run FROM deployed ORDER BY run DESC"):
        found.setdefault(str(host), []).append(int(run))
    return found


def _time(row: tuple[str] | None) -> datetime | None:
    return None if row is None else datetime.fromisoformat(row[0])


def _if_there(folder: RunFolder) -> PastRun | None:
    """Tell of a run that the index has not: it is alive, or was removed just now."""
    return folder.past() if folder.is_there else None


def _enter(database: sqlite3.Connection, stamps: Stamps) -> None:
    with database:
        for folder, stamp in stamps.items():
            _enter_one(database, folder, stamp)


def _enter_one(database: sqlite3.Connection, folder: RunFolder, stamp: str) -> None:
    record = folder.record()
    past = folder.past(record)
    packed = zlib.compress(encode(past), level=1)
    database.execute("INSERT INTO runs VALUES (?, ?, ?)", (folder.number, stamp, packed))
    if past.plan:
        return
    back = record.asked is not None and record.asked.request.back is not None
    database.executemany(
        "INSERT INTO deployed VALUES (?, ?, ?, ?)",
        [
            (host, folder.number, result.out_path.path, back)
            for host, result in record.results.items()
            if result.outcome in _DEPLOYED and result.out_path is not None
        ],
    )
    database.executemany(
        "INSERT INTO reached VALUES (?, ?) ON CONFLICT (host) "
        "DO UPDATE SET started = max(started, excluded.started)",
        [(host, past.started) for host, at in past.hosts.items() if at in _AT_TARGET],
    )
