"""The database of what evaluations read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from functools import cached_property
from pathlib import Path

from orchestrator.changes.plan import Asked, Fingerprint, Read, Tree
from orchestrator.core.store import DrvPath, Evaluated, OutPath


def pack_tree(tree: Tree) -> bytes:
    """Make bytes of a tree: its digest on a line, what is not its files, its files."""
    facts = [tree.root, tree.head, tree.dirty, tree.flake, tree.indivisible]
    lines = (tree.digest, json.dumps(facts), json.dumps(dict(tree.entries)))
    return zlib.compress("\n".join(lines).encode(), level=1)


def unpack_tree(packed: bytes, now: Tree) -> Tree:
    """Make a tree of bytes.

    Args:
        packed: What :func:`pack_tree` made.
        now: Where its files are these, they are taken from here.

    Raises:
        ValueError: The bytes are damaged.
        zlib.error: Likewise.
    """
    digest, facts, files = zlib.decompress(packed).decode().split("\n")
    root, head, dirty, flake, indivisible = json.loads(facts)
    entries = now.entries if digest == now.digest else json.loads(files)
    return Tree(root, entries, head, dirty, flake, indivisible)


def pack_reads(reads: Collection[Read]) -> bytes:
    """Make bytes of a set of reads; equal sets give equal bytes."""
    lines = sorted(map(_line, reads))
    return zlib.compress(json.dumps(lines).encode(), level=1)


class LazyReads(Collection[Read]):
    """A set of reads that is unpacked when it is looked into; mostly it is not."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed

    @cached_property
    def _lines(self) -> frozenset[str]:
        return frozenset(json.loads(zlib.decompress(self._packed)))

    def __contains__(self, read: object) -> bool:
        return isinstance(read, Read) and _line(read) in self._lines

    def __iter__(self) -> Iterator[Read]:
        pairs = (line.split(" ", 1) for line in self._lines)
        return (Read(Asked(asked), path) for asked, path in pairs)

    def __len__(self) -> int:
        return len(self._lines)


def _line(read: Read) -> str:
    return f"{read.asked.value} {read.path}"


VERSION = 1
"""``PRAGMA user_version``: a database of another version is begun again."""

KEPT = 8
"""Fingerprints a host: going back to an earlier branch costs no evaluation."""

_SCHEMA = """
CREATE TABLE trees (whole TEXT PRIMARY KEY, packed BLOB NOT NULL);
CREATE TABLE reads (digest TEXT PRIMARY KEY, packed BLOB NOT NULL);
CREATE TABLE fingerprints (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  attr TEXT NOT NULL,
  context TEXT NOT NULL,
  tree TEXT NOT NULL REFERENCES trees (whole),
  reads TEXT NOT NULL,
  files INTEGER NOT NULL,
  why_whole TEXT NOT NULL,
  drv TEXT NOT NULL,
  out TEXT NOT NULL,
  run INTEGER NOT NULL,
  at TEXT NOT NULL,
  checksum TEXT NOT NULL
);
CREATE INDEX by_context ON fingerprints (context, number);
"""
_COLUMNS = ("attr", "context", "tree", "reads", "files", "why_whole", "drv", "out", "run", "at")

# Result codes: https://www.sqlite.org/rescode.html. The lowest byte is the primary one.
_TROUBLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
}
_DAMAGE = (sqlite3.Error, OSError, ValueError, KeyError, TypeError, zlib.error)

Holds = Callable[[Fingerprint], bool]
Row = tuple[str, str, str, str, int, str, str, str, int, str]


class Fingerprints:
    """The fingerprints of one fleet.

    Args:
        file: The database; made where it is missing.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def find(
        self, attrs: Iterable[str], context: str, tree: Tree, holds: Holds
    ) -> dict[str, Fingerprint]:
        """Find, for each host, the newest fingerprint that holds, else the newest.

        Args:
            attrs: The hosts' attributes.
            context: What else counts, now.
            tree: The tree now; what was learned of an equal one need not be loaded.
            holds: Whether a fingerprint says what an evaluation would.

        Returns:
            Nothing of a host that nothing is known of, or where the database cannot be read.
        """
        wanted = set(attrs)
        newest: dict[str, Fingerprint] = {}
        found: dict[str, Fingerprint] = {}
        if not wanted or not self._file.exists():
            return newest
        with contextlib.suppress(*_DAMAGE), contextlib.closing(self._ready()) as database:
            for fingerprint in _newest_first(database, wanted, context, tree):
                newest.setdefault(fingerprint.attr, fingerprint)
                if holds(fingerprint):
                    found[fingerprint.attr] = fingerprint
                    wanted.remove(fingerprint.attr)
        return {**newest, **found}

    def keep(self, learned: Iterable[Fingerprint]) -> bool:
        """Add what was learned; of each host the newest are kept.

        Returns:
            Whether it could be written.
        """
        learned = tuple(learned)
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._add(learned)
            except (sqlite3.Error, ValueError) as error:
                if _is_trouble(error, self._file):
                    return False
                for rest in ("", "-journal"):
                    Path(f"{self._file}{rest}").unlink(missing_ok=True)
                self._add(learned)
        except (sqlite3.Error, OSError):
            return False
        return True

    def _add(self, learned: Iterable[Fingerprint]) -> None:
        with contextlib.closing(self._ready()) as database, database:
            for fingerprint in learned:
                _insert(database, fingerprint)
            _forget(database)

    def _ready(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._file, timeout=5)
        try:
            version = _version(database)
            if version == 0:
                version = _make(database)
            if version != VERSION:
                raise sqlite3.DatabaseError(f"version {version}")
        except sqlite3.Error:
            database.close()
            raise
        return database


def _version(database: sqlite3.Connection) -> int:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return int(version)


def _make(database: sqlite3.Connection) -> int:
    """Make the tables, unless another process just now did; gives the version then."""
    with database:
        database.execute("BEGIN IMMEDIATE")
        if _version(database) == 0:
            for statement in _SCHEMA.split(";"):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {VERSION}")
        return _version(database)


def _is_trouble(error: Exception, file: Path) -> bool:
    """Whether an error comes from the disk or from another process; else the file is damaged."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_READONLY:
        # A damaged header, too, may say that it is not to be written.
        return not os.access(file, os.W_OK)
    return code in _TROUBLE


def _newest_first(
    database: sqlite3.Connection, wanted: set[str], context: str, tree: Tree
) -> Iterator[Fingerprint]:
    """Those of ``wanted``; the caller may take hosts out of it on the way."""
    trees: dict[str, Tree] = {tree.whole: tree}
    reads: dict[str, LazyReads] = {}
    query = f"SELECT {', '.join(_COLUMNS)}, checksum FROM fingerprints WHERE context = ?"  # noqa: S608 (constants)
    for *row, checksum in database.execute(f"{query} ORDER BY number DESC", (context,)):
        attr, _, whole, digest, files, why, drv, out, run, at = row
        if attr not in wanted or checksum != _checksum(row):
            continue
        if whole not in trees:
            trees[whole] = _load_tree(database, whole, tree)
        if digest and digest not in reads:
            reads[digest] = _load_reads(database, digest)
        yield Fingerprint(
            attr=attr,
            context=context,
            tree=trees[whole],
            reads=reads[digest] if digest else None,
            files=files,
            why_whole=why,
            evaluated=Evaluated(DrvPath(drv), OutPath(out)),
            run=run or None,
            at=datetime.fromisoformat(at),
        )


def _load_tree(database: sqlite3.Connection, whole: str, now: Tree) -> Tree:
    """Load a tree; its files only where they are not those of now."""
    query = "SELECT packed FROM trees WHERE whole = ?"
    (packed,) = database.execute(query, (whole,)).fetchone()
    tree = unpack_tree(packed, now)
    if tree.whole != whole:
        raise ValueError("damaged")
    return tree


def _load_reads(database: sqlite3.Connection, digest: str) -> LazyReads:
    query = "SELECT packed FROM reads WHERE digest = ?"
    (packed,) = database.execute(query, (digest,)).fetchone()
    if hashlib.sha256(packed).hexdigest() != digest:
        raise ValueError("damaged")
    return LazyReads(packed)


def _insert(database: sqlite3.Connection, fingerprint: Fingerprint) -> None:
    tree = fingerprint.tree
    database.execute("INSERT OR REPLACE INTO trees VALUES (?, ?)", (tree.whole, pack_tree(tree)))
    digest = ""
    if fingerprint.reads is not None:
        packed = pack_reads(fingerprint.reads)
        digest = hashlib.sha256(packed).hexdigest()
        database.execute("INSERT OR REPLACE INTO reads VALUES (?, ?)", (digest, packed))
    row = (
        fingerprint.attr,
        fingerprint.context,
        tree.whole,
        digest,
        fingerprint.files,
        fingerprint.why_whole,
        fingerprint.evaluated.drv.path,
        fingerprint.evaluated.out.path,
        fingerprint.run or 0,
        fingerprint.at.isoformat(),
    )
    marks = ", ".join("?" * (len(_COLUMNS) + 1))
    database.execute(
        f"INSERT INTO fingerprints ({', '.join(_COLUMNS)}, checksum) VALUES ({marks})",  # noqa: S608 (constants)
        (*row, _checksum(row)),
    )


def _forget(database: sqlite3.Connection) -> None:
    """Drop what is old, and what nothing refers to any more."""
    database.execute(
        "DELETE FROM fingerprints WHERE number IN (SELECT number FROM (SELECT number, row_number() "
        "OVER (PARTITION BY attr ORDER BY number DESC) AS age FROM fingerprints) WHERE age > ?)",
        (KEPT,),
    )
    database.execute("DELETE FROM trees WHERE whole NOT IN (SELECT tree FROM fingerprints)")
    database.execute("DELETE FROM reads WHERE digest NOT IN (SELECT reads FROM fingerprints)")


def _checksum(row: Iterable[object]) -> str:
    return hashlib.sha256(repr(list(row)).encode()).hexdigest()
