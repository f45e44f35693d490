"""The runs of a fleet on this machine: their folders are the truth, and an index finds them."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from run_examples import begin, leave

from orchestrator.core.errors import UsageError
from orchestrator.core.event import HostFinished, Notice, RunStarted
from orchestrator.core.generation import BeforeLast
from orchestrator.core.outcome import Deployed, Skipped, Unchanged
from orchestrator.core.plan import Goal
from orchestrator.core.rollout import Order, Word
from orchestrator.core.run import Before, DeployRequest, HostResult, PastResult, PastRun
from orchestrator.core.store import OutPath
from orchestrator.runs.folder import RunFolder
from orchestrator.runs.index import VERSION
from orchestrator.runs.store import Runs

OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system-p620")
OLD = OutPath("/nix/store/pppppppppppppppppppppppppppppppp-nixos-system-p620")
BEFORE = Before(OLD, OLD, None)
HOSTS = {
    "p620": HostResult(Deployed("new", OUT, Goal.SWITCH), 3.5, BEFORE),
    "razer": HostResult(Skipped("interrupted"), 0.5),
}
SAME = {"p620": HostResult(Unchanged("same", OUT), 0.1)}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder that is not there yet."""
    return tmp_path / "state"


def index(state: Path) -> Path:
    """The index."""
    return state / "history.db"


def recent(state: Path) -> list[PastRun]:
    """The newest runs."""
    return Runs(state).recent(99)


def test_numbers_count_up_from_one_and_runs_are_listed_newest_first(state: Path) -> None:
    """With how each ended and what became of its hosts; one that was cut off has no exit code."""
    assert recent(state) == []
    assert [leave(state), leave(state, HOSTS), leave(state, SAME)] == [1, 2, 3]
    last, middle, first = recent(state)
    assert (last.number, last.exit_code, dict(last.hosts)) == (3, 0, {"p620": "unchanged"})
    assert (middle.goal, middle.exit_code, middle.seconds) == ("switch", 1, 4.0)
    assert dict(middle.hosts) == {"p620": "deployed", "razer": "skipped"}
    assert (first.exit_code, first.seconds, dict(first.hosts)) == (None, None, {})
    assert (first.resumable, first.alive, middle.resumable) == (True, False, False)
    assert Runs(state).recent(1) == [last]


def test_what_a_host_was_before_a_run_is_kept(state: Path) -> None:
    """Of those that it began to change; a host returns to it by the run's number."""
    number = leave(state, HOSTS)
    assert Runs(state).run(number).record().results == {
        "p620": PastResult("deployed", OUT, BEFORE),
        "razer": PastResult("skipped", None, None),
    }


def test_a_run_that_never_was_is_an_error_that_says_how_to_list_them(state: Path) -> None:
    """A run that never was is an error also where a file or link has its number for a name."""
    leave(state)
    (state / "runs/7").touch()
    (state / "runs/8").symlink_to(state / "runs/1")
    for number in (7, 8, 9):
        with pytest.raises(UsageError, match=f"there is no run {number}") as caught:
            Runs(state).run(number)
        assert "orchestrator run list" in str(caught.value.hint)


def test_only_decimal_names_of_folders_are_runs(state: Path) -> None:
    """Nothing else raises the next run's number."""
    for name in ("7", "12", "latest", "0013", "\u0661\u0664", ".removed-99", "9" * 400):
        (state / "runs" / name).mkdir(parents=True) if len(name) < 200 else None
    assert Runs(state).numbers() == [12, 7]
    assert leave(state) == 13


def _instead(file: Path, make: Callable[[Path], object]) -> None:
    file.rename(file.with_name("x"))
    make(file)


ODD: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda file: file.write_bytes(b""),
    "not a database": lambda file: file.write_bytes(b"no database at all" * 100),
    "a header and no more": lambda file: file.write_bytes(b"SQLite format 3\0" + b"\xff" * 9),
    "damaged inside": lambda file: _damage(file),
    "of another version": lambda file: _sql(file, f"PRAGMA user_version = {VERSION + 1}"),
    "without a table": lambda file: _sql(file, "DROP TABLE runs"),
    "with a run that never was": lambda f: _sql(f, "INSERT INTO runs VALUES (77, 'x', x'00')"),
    "of a run that was another": lambda file: _sql(file, "UPDATE runs SET stamp = 'x'"),
    "with values that are none": lambda file: _sql(file, "UPDATE runs SET past = 'x'"),
    "with numbers that are none": lambda f: _sql(f, "UPDATE deployed SET run = 'x' || run"),
    "with times that are none": lambda file: _sql(file, "UPDATE reached SET started = 'x'"),
    "without a run": lambda file: _sql(file, "DELETE FROM runs WHERE number = 3"),
    "a folder": lambda file: _instead(file, Path.mkdir),
    "a link": lambda file: _instead(file, lambda it: it.symlink_to("x")),
    "a link to nowhere": lambda file: _instead(file, lambda it: it.symlink_to("nowhere")),
}


def _damage(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))


def _sql(file: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute(statement)


def _answers(state: Path) -> tuple[object, ...]:
    runs = Runs(state)
    return (
        runs.recent(99),
        runs.last_reached("p620"),
        runs.has_deployed("p620", OUT),
        runs.has_deployed("razer", OUT),
        runs.deployments(),
    )


@pytest.mark.parametrize("how", ODD)
def test_an_index_that_is_odd_is_made_again_from_the_folders(state: Path, how: str) -> None:
    """Whatever is odd about it, each answer is the same as before, and nobody is told a thing."""
    for hosts in (HOSTS, SAME, None, HOSTS):
        leave(state, hosts)
    expected = _answers(state)
    ODD[how](index(state))
    assert _answers(state) == expected
    assert _answers(state) == expected


def test_an_index_that_was_rolled_back_gets_what_it_lacks(state: Path) -> None:
    """An older index, such as one from a backup, gets the runs that it lacks."""
    leave(state, HOSTS)
    recent(state)
    shutil.copy(index(state), state / "backup")
    leave(state, SAME)
    assert len(recent(state)) == 2
    shutil.copy(state / "backup", index(state))
    assert [run.number for run in recent(state)] == [2, 1]


def test_an_index_that_cannot_be_written_is_done_without(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folders are read instead; what was asked is answered, and nothing is left behind."""
    leave(state, HOSTS)

    def no_room(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("orchestrator.runs.index.tempfile.mkstemp", no_room)
    assert Runs(state).has_deployed("p620", OUT)
    assert [run.number for run in recent(state)] == [1]
    assert {path.name for path in state.iterdir()} == {"runs"}


def test_deploying_reads_and_writes_no_index(state: Path) -> None:
    """A deployment neither reads nor writes the index, so that nothing about it can stop one."""
    leave(state, HOSTS)
    assert not index(state).exists()


def test_a_run_that_is_alive_is_listed_as_such(state: Path) -> None:
    """With the hosts that have ended so far; nothing of it is in the index before its end."""
    with begin(state) as journal:
        journal.recording(lambda _: None)(HostFinished("p620", HOSTS["p620"].outcome, 1.0))
        for _ in range(2):
            (run,) = recent(state)
            assert (run.alive, run.exit_code, dict(run.hosts)) == (True, None, {"p620": "deployed"})
            assert not run.resumable
    (run,) = recent(state)
    assert (run.alive, run.resumable) == (False, True)
    assert Runs(state).has_deployed("p620", OUT), "a run that was cut off deployed it all the same"


def test_only_what_was_evaluated_for_a_host_counts_as_deployed_there(state: Path) -> None:
    """No plan, no rollback, no other host."""
    leave(state, HOSTS, DeployRequest(plan_only=True))
    leave(state, HOSTS, DeployRequest(back=BeforeLast()))
    assert not Runs(state).has_deployed("p620", OUT)
    leave(state, HOSTS)
    assert Runs(state).has_deployed("p620", OUT)
    assert not Runs(state).has_deployed("razer", OUT)
    assert not Runs(state).has_deployed("p620", OLD)


def test_when_a_host_was_at_its_target_last_is_known(state: Path) -> None:
    """By the last run that found or brought it there; a plan found nothing."""
    assert Runs(state).last_reached("p620") is None
    leave(state, SAME)
    reached = Runs(state).last_reached("p620")
    leave(state, {"p620": HostResult(Skipped("x"), 1)})
    leave(state, SAME, DeployRequest(plan_only=True))
    assert Runs(state).last_reached("p620") == reached
    assert Runs(state).last_reached("razer") is None
    leave(state, HOSTS)
    later = Runs(state).last_reached("p620")
    assert reached is not None
    assert later is not None
    assert later > reached


def _run_and_list(state: Path) -> int:
    number = leave(state, HOSTS)
    found = [run.number for run in recent(state)]
    assert number in found
    assert found == sorted(found, reverse=True)
    return number


@pytest.mark.parametrize(
    "pool", [ThreadPoolExecutor, lambda n: ProcessPoolExecutor(n, get_context("spawn"))]
)
def test_runs_at_once_have_numbers_of_their_own_and_lose_nothing(
    state: Path, pool: Callable[[int], ThreadPoolExecutor | ProcessPoolExecutor]
) -> None:
    """While each run is listed by the others, and the index is made again all the time."""
    with pool(4) as workers:
        numbers = list(workers.map(_run_and_list, [state] * 12))
    assert sorted(numbers) == list(range(1, 13))
    assert [run.number for run in recent(state)] == list(range(12, 0, -1))
    assert {run.exit_code for run in recent(state)} == {1}
    assert {path.name for path in state.iterdir()} == {"runs", "history.db"}


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


def test_a_full_disk_stops_no_run_and_is_said_once(small: Path) -> None:
    """What could be written is whole lines; with room again the end is written, too."""
    leave(small, HOSTS)
    fill(small)
    told: list[object] = []
    with begin(small) as journal:
        emit = journal.recording(told.append)
        emit(RunStarted(journal.run, Goal.SWITCH, ("p620",)))
        for number in range(500):
            emit(Notice(f"{number} " + "x" * 100))
    assert [event.text for event in told if isinstance(event, Notice) and event.warning] == [
        "other terminals and `run resume` will not know of this run: No space left on device"
    ]
    assert [run.number for run in recent(small)] == [2, 1]
    assert Runs(small).run(2).record().damage is None
    (small / "filler").unlink()
    assert leave(small, HOSTS) == 3
    assert [run.exit_code for run in recent(small)] == [1, None, 1]


def test_a_state_folder_that_cannot_be_made_stops_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a state folder a run has one among temporary files; nobody else gives it orders."""
    (tmp_path / "plain").touch()
    told: list[object] = []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # Anyone may make a folder beside it.
    (tmp_path / "1").mkdir()
    RunFolder(tmp_path, 1).put_order(Order("1", Word.ABORT, "eve@bar"))
    with begin(tmp_path / "plain") as journal:
        journal.recording(told.append)(RunStarted(journal.run, Goal.SWITCH, ()))
        assert journal.order() is None
    folder = Path(journal.run.folder)
    assert folder.is_dir()
    assert folder.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(folder)
    assert any(isinstance(event, Notice) and str(folder) in event.text for event in told)
