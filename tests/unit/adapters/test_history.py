"""The log of runs on this machine."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from orchestrator.adapters.history import VERSION, History
from orchestrator.errors import OrchestratorError
from orchestrator.model.goal import Goal
from orchestrator.model.outcome import Deployed, Skipped
from orchestrator.model.run import HostResult, PastRun, Report, Run
from orchestrator.model.store import OutPath

NOW = datetime(2024, 5, 6, 12, tzinfo=UTC)
OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system-p620")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database that is not there yet, in a folder that is not there yet."""
    return tmp_path / "state" / "history.db"


def begin(file: Path) -> int:
    """Enter a run."""
    return History(file).begin("me@here", "abc", "switch", NOW)


def report(number: int) -> Report:
    """A run's end."""
    hosts = {
        "p620": HostResult(Deployed("new", OUT, Goal.SWITCH), 3.5),
        "razer": HostResult(Skipped("interrupted"), 0.5),
    }
    run = Run(number, f"/runs/{number}", "me@here", "abc", NOW)
    return Report(run, Goal.SWITCH, False, hosts, 4.0)


def set_aside(file: Path) -> list[Path]:
    """The databases that were set aside."""
    return [path for path in file.parent.iterdir() if "unreadable" in path.name]


def test_numbers_count_up_from_one(file: Path) -> None:
    """Over all openings of the database."""
    assert [begin(file) for _ in range(3)] == [1, 2, 3]


def test_runs_are_told_newest_first(file: Path) -> None:
    """With how they ended and what became of each host; one that never ended has no code."""
    begin(file)
    History(file).finish(report(begin(file)))
    begin(file)
    newest, middle = History(file).recent(2)
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
    """The last word counts."""
    number = begin(file)
    History(file).finish(report(number))
    History(file).finish(report(number))
    (run,) = History(file).recent(9)
    assert len(run.hosts) == 2


def test_times_are_kept_in_utc(file: Path) -> None:
    """Whatever zone the machine is in."""
    there = NOW.astimezone(timezone(timedelta(hours=-7)))
    History(file).begin("me@here", None, "switch", there)
    (run,) = History(file).recent(1)
    assert (run.started, run.revision) == ("2024-05-06T12:00:00+00:00", None)


def test_an_empty_history_is_empty(file: Path) -> None:
    """Asking before the first run is no error."""
    assert History(file).recent(9) == ()


@pytest.mark.parametrize(
    "content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 500]
)
def test_a_corrupt_database_is_set_aside(file: Path, content: bytes) -> None:
    """It is kept for a person, and a run's number is never given twice."""
    assert [begin(file) for _ in range(3)] == [1, 2, 3]
    for number in (1, 2, 3):
        (file.parent / "runs" / str(number)).mkdir(parents=True)
    file.write_bytes(content)
    assert begin(file) == 4
    (kept,) = set_aside(file)
    assert kept.read_bytes() == content


def test_a_database_that_is_damaged_inside_is_set_aside(file: Path) -> None:
    """Garbage behind an intact header costs the history, never a deployment or a number."""
    for _ in range(3):
        number = begin(file)
        (file.parent / "runs" / str(number)).mkdir(parents=True)
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    assert begin(file) == 4
    assert len(list(file.parent.glob("history.unreadable-*"))) == 1
    assert [run.number for run in History(file).recent(9)] == [4]


def test_a_database_of_another_version_is_set_aside(file: Path) -> None:
    """It is neither misread nor lost."""
    begin(file)
    (file.parent / "runs" / "1").mkdir(parents=True)
    with sqlite3.connect(file) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
    database.close()
    assert begin(file) == 2
    (kept,) = set_aside(file)
    with sqlite3.connect(kept) as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    database.close()


def test_a_lost_database_gives_no_number_twice(file: Path) -> None:
    """The folders of runs say which numbers were given; other folders say nothing."""
    for name in ("7", "12", "latest"):
        (file.parent / "runs" / name).mkdir(parents=True)
    assert begin(file) == 13


def test_two_runs_at_once_have_two_numbers(file: Path) -> None:
    """Even where both make the database."""
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(begin, [file] * 24))
    assert sorted(numbers) == list(range(1, 25))
    assert set_aside(file) == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """With the file's name and what may be the matter."""
    (tmp_path / "plain").touch()
    with pytest.raises(OrchestratorError, match=r"history .*plain/history.db cannot be written"):
        begin(tmp_path / "plain" / "history.db")
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(OrchestratorError, match="cannot be written"):
        begin(tmp_path / "folder.db")


def test_a_database_that_is_ready_is_not_made_ready_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run opens it twice; the folders of all runs are looked through once in its life."""
    looked = []
    last = History._last_folder

    def counting(history: History) -> int:
        looked.append(history)
        return last(history)

    monkeypatch.setattr(History, "_last_folder", counting)
    History(file).finish(report(begin(file)))
    begin(file)
    assert len(looked) == 1
