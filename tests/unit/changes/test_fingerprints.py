"""The database of what was learned: it says what was stored, or nothing."""

from __future__ import annotations

import functools
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from fingerprint_examples import READS, fingerprint, tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.changes import fingerprints
from orchestrator.changes.fingerprints import KEPT, Fingerprints
from orchestrator.changes.plan import Asked, Fingerprint, Read, Tree
from orchestrator.core.values import replace

STORED = (
    fingerprint("p620", letter="a"),
    fingerprint("p620", tree({"flake.nix": "100644 9"}), None, run=None, letter="b"),
    fingerprint("razer", letter="c", run=2),
    fingerprint("samsung", reads=(), letter="d", run=3),
)


def same(one: Fingerprint, other: Fingerprint) -> bool:
    """Whether two are equal; a set of reads that was not unpacked yet equals its set."""
    pairs = [None if reads is None else set(reads) for reads in (one.reads, other.reads)]
    return pairs[0] == pairs[1] and replace(one, reads=None) == replace(other, reads=None)


def found(
    file: Path, attrs: Iterable[str] = ("p620",), now: Tree | None = None, context: str = "here"
) -> Mapping[str, Fingerprint]:
    """The newest of each host."""
    return Fingerprints(file).find(attrs, context, now or tree({}), lambda _: True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database with a few."""
    file = tmp_path / "state" / "fingerprints.db"
    assert Fingerprints(file).keep(STORED)
    return file


# What is kept is found.


def test_what_is_kept_comes_back_whole(file: Path) -> None:
    """Trees, reads, systems, times; names of files that are no UTF-8."""
    one = found(file, ("p620", "razer", "samsung", "nobody"))
    assert one.keys() == {"p620", "razer", "samsung"}
    assert same(one["p620"], STORED[1])
    assert same(one["razer"], STORED[2])
    assert same(one["samsung"], STORED[3])


@pytest.mark.parametrize("now", [tree(), tree({})], ids=["the same files", "others"])
def test_a_tree_is_what_it_was_whatever_it_is_now(file: Path, now: Tree) -> None:
    """Where the files are the same they are not loaded; the commit is the one of then."""
    held = found(file, ("razer",), replace(now, head=None, dirty=True))["razer"]
    assert held.tree == STORED[2].tree
    assert held.tree.whole == STORED[2].tree.whole


def test_the_newest_that_holds_goes_before_the_newest(file: Path) -> None:
    """Back on an earlier branch, what was learned there counts again."""
    store = Fingerprints(file)
    names = ("p620", "razer")
    held = store.find(names, "here", tree(), lambda one: one.evaluated == STORED[0].evaluated)
    assert same(held["p620"], STORED[0])
    assert same(held["razer"], STORED[2]), "that does not hold, and is the newest"


def test_a_host_is_not_asked_about_once_it_is_found(file: Path) -> None:
    """A host whose fingerprint is found is asked about once, and no other is loaded."""
    asked = []

    def holds(one: Fingerprint) -> bool:
        asked.append(one.attr)
        return True

    Fingerprints(file).find(("p620",), "here", tree(), holds)
    assert asked == ["p620"]


def test_another_context_is_another_world(file: Path) -> None:
    """Another Nix or other settings: nothing is known."""
    assert found(file, context="elsewhere") == {}


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    """Of each host; trees and reads that nobody refers to go with the fingerprints."""
    file = tmp_path / "fingerprints.db"
    store = Fingerprints(file)
    every = [
        fingerprint(
            name,
            tree({"flake.nix": f"100644 {run}"}),
            {Read(Asked.CONTENT, str(run))},
            run=run,
        )
        for run in range(1, KEPT + 4)
        for name in ("p620", "razer")
    ]
    for one in every:
        assert store.keep((one,))
    runs: list[int | None] = []
    store.find(("p620",), "here", tree(), lambda one: bool(runs.append(one.run)))
    assert runs == list(range(KEPT + 3, 3, -1))
    with sqlite3.connect(file) as database:
        counts = [
            database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            for table in ("trees", "reads", "fingerprints")
        ]
    database.close()
    assert counts == [KEPT, KEPT, 2 * KEPT]


def test_hosts_share_their_tree_and_their_reads(file: Path) -> None:
    """What is the same is kept once."""
    with sqlite3.connect(file) as database:
        (trees,) = database.execute("SELECT count(*) FROM trees").fetchone()
        (reads,) = database.execute("SELECT count(*) FROM reads").fetchone()
    database.close()
    assert (trees, reads) == (2, 2)


def test_only_the_owner_may_look(tmp_path: Path) -> None:
    """The state folder is made so that only its owner may look into it."""
    file = tmp_path / "state/fingerprints.db"
    Fingerprints(file).keep(STORED)
    assert file.parent.stat().st_mode & 0o077 == 0


# What may happen to the file.


def heals(file: Path) -> None:
    """Whatever the file is now: nothing wrong is said of it, and keeping makes it good."""
    assert found(file, ("p620", "razer", "samsung")) == {}
    assert Fingerprints(file).keep(STORED)
    assert same(found(file)["p620"], STORED[1])


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    """To look for a database that is missing does not make it; to keep something does."""
    assert found(tmp_path / "no/fingerprints.db") == {}
    assert list(tmp_path.iterdir()) == []
    heals(tmp_path / "no/fingerprints.db")


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\0garbage", b""])
def test_a_file_that_is_none(tmp_path: Path, content: bytes) -> None:
    """Garbage, and a file of no bytes."""
    file = tmp_path / "fingerprints.db"
    file.write_bytes(content)
    heals(file)


def test_a_database_of_another_version(file: Path) -> None:
    """A database of an older or a newer version is replaced by a new one."""
    for version in (fingerprints.VERSION + 1, -1):
        database = sqlite3.connect(file)
        database.execute(f"PRAGMA user_version = {version}")
        database.close()
        heals(file)


def test_a_database_of_something_else(tmp_path: Path) -> None:
    """A database with somebody else's tables is replaced by a new one."""
    file = tmp_path / "fingerprints.db"
    database = sqlite3.connect(file)
    database.executescript("CREATE TABLE fingerprints (x); PRAGMA user_version = 1;")
    database.close()
    heals(file)


def test_a_table_that_is_gone(file: Path) -> None:
    """What refers to it cannot be believed."""
    database = sqlite3.connect(file)
    database.execute("DROP TABLE reads")
    database.close()
    assert found(file, ("razer",)) == {}
    assert Fingerprints(file).keep(STORED)
    assert same(found(file, ("razer",))["razer"], STORED[2])


def test_a_truncated_file(file: Path) -> None:
    """At every length: what was stored, or nothing."""
    content = file.read_bytes()
    for length in range(0, len(content), 97):
        file.write_bytes(content[:length])
        consistent(file)


def consistent(file: Path) -> None:
    """See that every answer is one that was stored, looked into as far as it goes."""
    for now in (tree(), tree({})):
        for name, one in found(file, ("p620", "razer", "samsung"), now).items():
            assert any(same(one, stored) for stored in STORED if stored.attr == name)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bytes_are_never_believed(file: Path, data: st.DataObject) -> None:
    """Any few bits of the file: what was stored, or nothing; keeping works or says no."""
    content = original(file)
    damaged = bytearray(content)
    places = st.integers(0, len(content) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=3)):
        damaged[place] ^= data.draw(st.integers(1, 255))
    file.write_bytes(damaged)
    consistent(file)
    kept = Fingerprints(file).keep((STORED[0],))
    consistent(file)
    assert kept or found(file) == {}


def test_a_header_that_says_read_only_heals(file: Path) -> None:
    """Byte 18 is the version that may write the file: https://sqlite.org/fileformat.html."""
    damaged = bytearray(original(file))
    damaged[18] = 3
    file.write_bytes(damaged)
    assert Fingerprints(file).keep((STORED[0],))
    consistent(file)


def original(file: Path) -> bytes:
    """The file's first content, kept beside it."""
    copy = file.with_suffix(".original")
    if not copy.exists():
        shutil.copy(file, copy)
    for rest in file.parent.glob("fingerprints.db-*"):
        rest.unlink()
    return copy.read_bytes()


@pytest.mark.parametrize(
    "column", ["attr", "tree", "reads", "files", "why_whole", "drv", "out", "at"]
)
def test_a_row_that_was_altered_is_not_there(file: Path, column: str) -> None:
    """A row that was altered by hand is not believed: each column is under its checksum."""
    database = sqlite3.connect(file)
    with database:
        query = f"UPDATE fingerprints SET {column} = 'razer' WHERE attr != 'razer'"  # noqa: S608
        database.execute(query)
    database.close()
    assert found(file, ("p620", "samsung")) == {}
    assert same(found(file, ("razer",))["razer"], STORED[2])


def test_packed_bytes_of_something_else_are_not_believed(file: Path) -> None:
    """A tree or a set of reads that is in order, and another."""
    for table in ("trees", "reads"):
        database = sqlite3.connect(file)
        with database:
            query = f"UPDATE {table} SET packed = (SELECT max(packed) FROM {table})"  # noqa: S608
            database.execute(query)
        database.close()
        consistent(file)


def test_packed_bytes_that_are_damaged_are_mended_by_what_is_learned_next(file: Path) -> None:
    """Else they would stay for as long as anything refers to them."""
    database = sqlite3.connect(file)
    with database:
        database.execute("UPDATE trees SET packed = x'00'")
        database.execute("UPDATE reads SET packed = x'00'")
    database.close()
    assert found(file, ("p620", "razer", "samsung")) == {}
    assert Fingerprints(file).keep(STORED)
    assert found(file, ("p620", "razer", "samsung")).keys() == {"p620", "razer", "samsung"}


# Others.


def test_a_file_that_another_process_has_locked(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking goes on without; keeping says no, and throws nothing away."""
    connect = sqlite3.connect
    impatient = functools.partial(connect, timeout=0.05)
    monkeypatch.setattr(sqlite3, "connect", lambda file, **_: impatient(file))
    program = (
        "import sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1])\n"
        "database.execute('BEGIN EXCLUSIVE')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    argv = [sys.executable, "-c", program, str(file)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        assert found(file) == {}
        assert not Fingerprints(file).keep(STORED)
    assert same(found(file)["p620"], STORED[1])


def test_two_processes_that_keep_at_once_lose_nothing(tmp_path: Path) -> None:
    """Three processes that keep fingerprints at once wait for each other and lose none."""
    file = tmp_path / "fingerprints.db"
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from fingerprint_examples import fingerprint\n"
        "from orchestrator.changes.fingerprints import Fingerprints\n"
        "for run in range(1, 9):\n"
        "    assert Fingerprints(Path(sys.argv[1])).keep([fingerprint(sys.argv[2], run=run)])\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    names = ("p620", "razer", "samsung")
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(file), name], env={**os.environ, "PYTHONPATH": path}
        )
        for name in names
    ]
    assert [one.wait(60) for one in running] == [0, 0, 0]
    assert {name: one.run for name, one in found(file, names).items()} == dict.fromkeys(names, 8)


def test_a_folder_where_nothing_can_be_written(tmp_path: Path) -> None:
    """Keeping says no; root may write anywhere, so the folder's place is taken by a file."""
    (tmp_path / "state").touch()
    assert not Fingerprints(tmp_path / "state/fingerprints.db").keep(STORED)
    assert found(tmp_path / "state/fingerprints.db") == {}


def test_a_file_that_may_only_be_read(tmp_path: Path, file: Path) -> None:
    """What is known counts; no more is added. Root is asked as nobody."""
    for place in (tmp_path, file.parent):
        place.chmod(0o555)
    file.chmod(0o444)
    for above in tmp_path.parents:
        if above.stat().st_uid == os.getuid() and above != Path("/"):
            above.chmod(above.stat().st_mode | 0o055)
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from fingerprint_examples import fingerprint, tree\n"
        "from orchestrator.changes.fingerprints import Fingerprints\n"
        "if os.getuid() == 0:\n"
        "    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "store = Fingerprints(Path(sys.argv[1]))\n"
        "assert 'p620' in store.find(['p620'], 'here', tree(), lambda _: True)\n"
        "assert not store.keep([fingerprint()])\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    try:
        subprocess.run(
            [sys.executable, "-c", program, str(file)],
            env={**os.environ, "PYTHONPATH": path},
            check=True,
        )
    finally:
        tmp_path.chmod(0o755)
        file.parent.chmod(0o755)


def test_a_folder_in_the_files_place(tmp_path: Path) -> None:
    """A folder in the place of the database is not removed: nothing is found and nothing kept."""
    (tmp_path / "fingerprints.db").mkdir()
    assert found(tmp_path / "fingerprints.db") == {}
    assert not Fingerprints(tmp_path / "fingerprints.db").keep(STORED)


def test_another_fleets_database_says_what_the_tree_says(tmp_path: Path, file: Path) -> None:
    """Copied in, as CI does: what counts is the tree and what was read of it, not whose it was."""
    shutil.copy(file, tmp_path / "other.db")
    held = found(tmp_path / "other.db", ("razer",), tree({"else": "100644 1"}))["razer"]
    assert held.tree == STORED[2].tree
    assert set(held.reads or ()) == READS
