"""The log of runs on this machine."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.core.event import RunFinished, RunStarted
from orchestrator.core.outcome import Deployed, Skipped
from orchestrator.core.plan import Goal
from orchestrator.core.run import Before, HostResult, PastResult, PastRun, Report, Run
from orchestrator.core.store import OutPath
from orchestrator.render.runlog import RunLog
from orchestrator.runs import history_file
from orchestrator.runs.files import RunFiles, RunFolders
from orchestrator.runs.history import Begun, History
from orchestrator.runs.history_file import VERSION

NOW = datetime(2024, 5, 6, 12, tzinfo=UTC)
OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system-p620")
OLD = OutPath("/nix/store/pppppppppppppppppppppppppppppppp-nixos-system-p620")
BEFORE = Before(OLD, OLD, None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database that is not there yet, in a folder that is not there yet."""
    return tmp_path / "state" / "history.db"


def begin(file: Path) -> int:
    """Enter a run; what it says of the history is another test's."""
    return enter(file).number


def enter(file: Path) -> Begun:
    """Enter a run."""
    return History(file).begin("me@here", "abc", "switch", NOW)


def recent(file: Path, count: int = 9) -> tuple[PastRun, ...]:
    """The newest runs, of a history with which nothing is wrong."""
    past = History(file).recent(count)
    assert past.notice is None
    return past.runs


def report(number: int) -> Report:
    """A run's end."""
    hosts = {
        "p620": HostResult(Deployed("new", OUT, Goal.SWITCH), 3.5, BEFORE),
        "razer": HostResult(Skipped("interrupted"), 0.5),
    }
    run = Run(number, f"/runs/{number}", "me@here", "abc", NOW, "switch")
    return Report(run, Goal.SWITCH, False, hosts, 4.0)


def set_aside(file: Path) -> list[Path]:
    """The databases that were set aside."""
    return [path for path in file.parent.iterdir() if "unreadable" in path.name]


def test_numbers_count_up_from_one(file: Path) -> None:
    """Runs are numbered from one, over all openings of the database."""
    assert [begin(file) for _ in range(3)] == [1, 2, 3]


def test_runs_are_told_newest_first(file: Path) -> None:
    """With how they ended and what became of each host; one that never ended has no code."""
    begin(file)
    History(file).finish(report(begin(file)))
    begin(file)
    newest, middle = recent(file, 2)
    assert (newest.number, newest.exit_code, newest.seconds, newest.hosts) == (3, None, None, ())
    assert middle == PastRun(
        number=2,
        started="2024-05-06T12:00:00+00:00",
        who="me@here",
        revision="abc",
        goal="switch",
        seconds=4.0,
        exit_code=1,
        hosts=(("p620", "deployed"), ("razer", "skipped")),
    )


def test_a_run_that_ends_twice_is_there_once(file: Path) -> None:
    """A run whose end is written twice is listed once, with its hosts once."""
    number = begin(file)
    History(file).finish(report(number))
    History(file).finish(report(number))
    (run,) = recent(file)
    assert len(run.hosts) == 2


def test_times_are_kept_in_utc(file: Path) -> None:
    """Times are kept in UTC, whatever time zone the machine is in."""
    there = NOW.astimezone(timezone(timedelta(hours=-7)))
    History(file).begin("me@here", None, "switch", there)
    (run,) = recent(file)
    assert (run.started, run.revision) == ("2024-05-06T12:00:00+00:00", None)


def test_an_empty_history_is_empty(file: Path) -> None:
    """Asking before the first run is no error."""
    assert recent(file) == ()


def test_what_a_host_was_before_a_run_is_kept(file: Path) -> None:
    """Of those that it began to change; a host is rolled back to it by the run's number."""
    number = begin(file)
    assert History(file).finish(report(number)) is None
    assert History(file).results(number) == {
        "p620": PastResult("deployed", OUT, BEFORE),
        "razer": PastResult("skipped", None, None),
    }


def test_a_run_that_never_was_is_an_error(file: Path) -> None:
    """A run that never was is an error with the command that lists those that were."""
    begin(file)
    assert History(file).run(1).goal == "switch"
    with pytest.raises(UsageError, match="there is no run 7"):
        History(file).run(7)
    assert History(file).results(7) == {}


@pytest.mark.parametrize(
    "content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 500]
)
def test_a_corrupt_database_is_set_aside(file: Path, content: bytes) -> None:
    """A corrupt database is kept aside with a notice, and no run's number is given twice."""
    assert [begin(file) for _ in range(3)] == [1, 2, 3]
    file.write_bytes(content)
    begun = enter(file)
    (kept,) = set_aside(file)
    assert begun.number == 4
    assert str(kept) in str(begun.notice)
    assert kept.read_bytes() == content
    assert enter(file).notice is None


def test_a_database_that_is_damaged_inside_is_set_aside(file: Path) -> None:
    """Garbage behind an intact header costs no number; folders still tell of the runs before."""
    for _ in range(3):
        begin(file)
    damage(file)
    assert begin(file) == 4
    assert len(set_aside(file)) == 1
    assert [(run.number, run.kept) for run in recent(file)] == [
        (4, True),
        (3, False),
        (2, False),
        (1, False),
    ]


def test_a_database_that_is_damaged_during_a_run_is_set_aside_at_its_end(file: Path) -> None:
    """A database damaged during a run is set aside at its end, and the new one has the run."""
    number = begin(file)
    damage(file)
    notice = History(file).finish(report(number))
    (kept,) = set_aside(file)
    assert str(kept) in str(notice)
    (run,) = recent(file)
    assert (run.number, run.goal, run.exit_code, len(run.hosts)) == (number, "switch", 1, 2)


def damage(file: Path) -> None:
    """Garbage behind an intact header."""
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))


def test_an_older_database_is_brought_up_to_date(file: Path) -> None:
    """In place: its runs are there, and new ones are kept with all there is."""
    older = History(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history_file, "VERSION", 1)
        patch.setattr(history_file, "_STEPS", history_file._STEPS[:1])
        older.begin("me@here", "abc", "switch", NOW)
    with sqlite3.connect(file) as database:
        database.execute("UPDATE runs SET seconds = 4.0, exit_code = 0")
        database.execute(
            "INSERT INTO results VALUES (1, 'p620', 'deployed', 'new', ?, 3.5)", (str(OUT),)
        )
    database.close()
    assert version(file) == 1
    History(file).finish(report(begin(file)))
    assert (version(file), set_aside(file)) == (VERSION, [])
    assert [(run.number, run.exit_code) for run in recent(file)] == [(2, 1), (1, 0)]
    assert History(file).results(1) == {"p620": PastResult("deployed", OUT, None)}
    assert History(file).results(2)["p620"].before == BEFORE


def test_an_older_database_is_brought_up_to_date_once(file: Path) -> None:
    """An older database is brought up to date once, even where many runs begin at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history_file, "VERSION", 1)
        patch.setattr(history_file, "_STEPS", history_file._STEPS[:1])
        begin(file)
    with ThreadPoolExecutor(8) as pool:
        begun = list(pool.map(enter, [file] * 16))
    assert sorted(run.number for run in begun) == list(range(2, 18))
    assert {run.notice for run in begun} == {None}


def version(file: Path) -> int:
    """``PRAGMA user_version``."""
    database = sqlite3.connect(file)
    (number,) = database.execute("PRAGMA user_version").fetchone()
    database.close()
    return int(number)


def test_a_newer_database_is_left_untouched(file: Path) -> None:
    """The run goes on with a number of its own, and what it could not keep is told."""
    begin(file)
    with sqlite3.connect(file) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
    database.close()
    before = file.read_bytes()
    begun = enter(file)
    assert begun.number == 2
    assert "newer orchestrator" in str(begun.notice)
    assert "in its folder only" in str(History(file).finish(report(2)))
    past = History(file).recent(9)
    assert "newer orchestrator" in str(past.notice)
    assert [(run.number, run.kept) for run in past.runs] == [(2, False), (1, False)]
    assert file.read_bytes() == before
    assert set_aside(file) == []


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody lets go of the database while a test waits."""
    monkeypatch.setattr(history_file, "LOCKED_SECONDS", 0.05)


@pytest.mark.usefixtures("impatient")
def test_a_locked_database_stops_no_run(file: Path) -> None:
    """A locked database stops no run, which has a unique number and is entered later."""
    begin(file)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    begun = enter(file)
    assert begun.number == 2
    assert "database is locked" in str(begun.notice)
    assert "in its folder only" in str(History(file).finish(report(2)))
    assert "database is locked" in str(History(file).recent(9).notice)
    other.execute("ROLLBACK")
    other.close()
    assert begin(file) == 3
    assert History(file).finish(report(2)) is None
    assert [(run.number, run.kept) for run in recent(file)] == [(3, True), (2, True), (1, True)]


@pytest.mark.usefixtures("impatient")
def test_a_database_that_is_being_written_is_read(file: Path) -> None:
    """Reading needs no lock of its own."""
    begin(file)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert [run.number for run in recent(file)] == [1]
    other.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB, which anyone may fill."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = ("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder))
    if os.geteuid() != 0 or subprocess.run(mounted, check=False).returncode != 0:
        pytest.skip("needs root, and a mount")
    yield folder
    subprocess.run(("umount", str(folder)), check=True)


def fill(folder: Path) -> None:
    """Leave no room at all."""
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(b"x" * 512)


def test_a_full_disk_stops_no_run(small: Path) -> None:
    """The run has its number, and is entered at its end where there is room again by then."""
    file = small / "history.db"
    assert begin(file) == 1
    fill(small)
    begun = enter(file)
    assert (begun.number, begun.folder) == (2, small / "runs/2")
    assert "full" in str(begun.notice)
    assert "in its folder only" in str(History(file).finish(report(2)))
    assert [run.number for run in History(file).recent(9).runs] == [2, 1]
    (small / "filler").unlink()
    assert History(file).finish(report(2)) is None
    assert begin(file) == 3
    assert [(run.number, run.kept) for run in recent(file)] == [(3, True), (2, True), (1, True)]


def test_a_disk_that_is_full_from_the_start_stops_no_run(small: Path) -> None:
    """There is no database then, and nothing is set aside."""
    fill(small)
    assert "full" in str(enter(small / "history.db").notice)
    assert set_aside(small / "history.db") == []


def test_a_lost_database_gives_no_number_twice(file: Path) -> None:
    """The folders of runs say which numbers were given; other folders say nothing."""
    for name in ("7", "12", "latest"):
        (file.parent / "runs" / name).mkdir(parents=True)
    assert begin(file) == 13


def test_a_run_that_is_in_its_folder_only_is_told_from_there(file: Path) -> None:
    """What the folder does not tell is left empty; the results and the paths before are read."""
    folder = enter(file).folder
    file.unlink()
    with contextlib.closing(RunLog(lambda: NOW)) as log:
        run = Run(1, str(folder), "me@here", "abc", NOW, "rollback")
        log.handle(RunStarted(run, Goal.SWITCH, ("p620", "razer")))
        (half,) = recent(file)
        log.handle(RunFinished(replace(report(1), run=run)))
    assert (half.goal, half.exit_code, half.hosts) == ("rollback", None, ())
    (whole,) = recent(file)
    assert whole == PastRun(
        number=1,
        started="2024-05-06T12:00:00+00:00",
        who="me@here",
        revision="abc",
        goal="rollback",
        seconds=4.0,
        exit_code=1,
        hosts=(("p620", "deployed"), ("razer", "skipped")),
        kept=False,
    )
    assert History(file).run(1) == whole
    assert History(file).results(1)["p620"] == PastResult("deployed", OUT, BEFORE)


def test_an_end_that_could_not_be_entered_is_told_by_the_folder(file: Path) -> None:
    """A run that ended while the disk was full was not cut off."""
    folder = enter(file).folder
    with contextlib.closing(RunLog(lambda: NOW)) as log:
        run = Run(1, str(folder), "me@here", "abc", NOW, "switch")
        log.handle(RunStarted(run, Goal.SWITCH, ("p620", "razer")))
        log.handle(RunFinished(replace(report(1), run=run)))
    (told,) = recent(file)
    assert (told.exit_code, told.seconds, told.kept) == (1, 4.0, False)
    assert told.hosts == (("p620", "deployed"), ("razer", "skipped"))
    assert History(file).run(1) == told


def test_a_run_that_goes_on_is_told_as_such(file: Path) -> None:
    """Be it in the database or not."""
    folder = enter(file).folder
    with RunFiles(folder).living("1-abcd"):
        assert [run.alive for run in recent(file)] == [True]
        file.unlink()
        assert [(run.alive, run.kept) for run in recent(file)] == [(True, False)]
    assert [run.alive for run in recent(file)] == [False]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"hosts": [1]}', '{"hosts": {"p620": 1}}'])
def test_a_folder_that_is_not_understood_tells_its_number(file: Path, text: str) -> None:
    """A run folder whose files are not understood keeps its number, and listing goes on."""
    folder = enter(file).folder
    file.unlink()
    for name in ("events.jsonl", "report.json"):
        (folder / name).write_text(text)
    (run,) = recent(file)
    assert (run.number, run.exit_code, run.kept) == (1, None, False)
    assert datetime.fromisoformat(run.started).tzinfo is not None
    assert all(result.before is None for result in History(file).results(1).values())


@pytest.mark.parametrize("damage", ['"4"', "[]", "Infinity", "null"])
def test_numbers_that_are_none_are_not_told(file: Path, damage: str) -> None:
    """Damaged numbers in a report are left out and not shown."""
    folder = enter(file).folder
    file.unlink()
    (folder / "report.json").write_text(f'{{"seconds": {damage}, "exit_code": {damage}}}')
    (run,) = recent(file)
    assert (run.seconds, run.exit_code) == (None, None)


def test_paths_that_are_none_are_not_told(file: Path) -> None:
    """Of a database with a flipped bit that SQLite does not see: nobody is sent back to it."""
    number = begin(file)
    History(file).finish(report(number))
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE results SET before_running = '/nix/störe/x' WHERE host = 'p620'")
    before = History(file).results(number)["p620"].before
    assert before == replace(BEFORE, running=None)


def test_values_of_another_type_are_damage(file: Path) -> None:
    """SQLite takes whatever a flipped bit says; then the folders tell."""
    number = begin(file)
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE runs SET started = X'00ff'")
    past = History(file).recent(9)
    assert "damaged" in str(past.notice)
    assert [(run.number, run.kept) for run in past.runs] == [(number, False)]
    assert History(file).last_reached("p620") is None


def test_two_runs_at_once_have_two_numbers(file: Path) -> None:
    """Runs that begin at once have numbers of their own, also where all make the database."""
    with ThreadPoolExecutor(8) as pool:
        begun = list(pool.map(enter, [file] * 24))
    assert sorted(run.number for run in begun) == list(range(1, 25))
    assert {run.notice for run in begun} == {None}
    assert set_aside(file) == []


def test_a_state_folder_that_cannot_be_made_stops_no_run(tmp_path: Path) -> None:
    """A run whose state folder cannot be made has a temporary folder, and says why."""
    (tmp_path / "plain").touch()
    begun = enter(tmp_path / "plain" / "history.db")
    assert begun.folder.is_dir()
    assert "plain/history.db cannot be used" in str(begun.notice)
    begun.folder.rmdir()
    (tmp_path / "folder.db").mkdir()
    assert enter(tmp_path / "folder.db").folder == tmp_path / "runs/1"


def test_a_run_without_a_place_for_its_folder_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was changed then, and both reasons are told."""
    (tmp_path / "plain").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "plain"))
    with pytest.raises(OrchestratorError, match="nor among temporary files") as raised:
        begin(tmp_path / "plain" / "history.db")
    assert "nothing was changed" in str(raised.value.hint)


def test_a_database_that_is_ready_costs_no_look_at_all_runs(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run opens it twice; the folders of all runs are looked through where it is new."""
    History(file).finish(report(begin(file)))
    looked = []
    monkeypatch.setattr(RunFolders, "last", lambda _: looked.append(1) or 0)
    History(file).finish(report(begin(file)))
    assert looked == []


def test_when_a_host_was_reached_last(file: Path) -> None:
    """A host was reached last by the last run that ended at its target, and by no plan."""
    history = History(file)
    assert history.last_reached("p620") is None
    for days, title in ((0, "switch"), (2, "switch"), (3, "plan switch")):
        number = history.begin("me@here", None, title, NOW + timedelta(days=days)).number
        history.finish(report(number))
    assert history.last_reached("p620") == NOW + timedelta(days=2)
    assert history.last_reached("razer") is None
    file.write_bytes(b"no database at all, " * 300)
    assert History(file).last_reached("p620") is None
