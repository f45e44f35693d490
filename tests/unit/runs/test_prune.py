"""Which runs are removed, which stay whatever the limits say, and the commands that show runs."""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from run_examples import begin, leave

from orchestrator.cli.main import main
from orchestrator.cli.opening import open_fleet
from orchestrator.cli.options import Target
from orchestrator.core.event import LogLine, RunStarted
from orchestrator.core.host import Connect, Fleet, Host
from orchestrator.core.outcome import Deployed, Unchanged
from orchestrator.core.plan import Goal
from orchestrator.core.run import DeployRequest, HostResult, PastRun
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.core.values import replace
from orchestrator.host.setup import state_folder
from orchestrator.runs.pending import Pending, PendingSystems
from orchestrator.runs.prune import Limits, needed, prune_runs, to_remove
from orchestrator.runs.store import Runs

NOW = datetime(2025, 6, 30, 12, tzinfo=UTC)
OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system-p620")
SAME = {"p620": HostResult(Unchanged("same", OUT), 0.1)}
NEW = {"p620": HostResult(Deployed("new", OUT, Goal.SWITCH), 3.5)}
DAY = 86400.0


def past(number: int, days: float) -> PastRun:
    """A run that ended well, so many days ago."""
    began = (NOW - timedelta(days=days)).isoformat()
    return PastRun(number, began, "me@here", None, "switch", 1.0, 0, {})


RUNS = [past(number, days=10 * (6 - number)) for number in (6, 5, 4, 3, 2, 1)]


@pytest.mark.parametrize(
    ("keep", "older_than", "gone"),
    [
        (2, None, [4, 3, 2, 1]),
        (99, None, []),
        (0, None, [5, 4, 3, 2, 1]),
        (None, 25 * DAY, [3, 2, 1]),
        (None, 0.0, [5, 4, 3, 2, 1]),
        (5, 25 * DAY, [1]),
        (2, 45 * DAY, [1]),
    ],
)
def test_runs_go_that_are_beyond_every_limit_that_is_given(
    keep: int | None, older_than: float | None, gone: list[int]
) -> None:
    """By count, by age, or by both; the newest stays, as the next run's number comes from it."""
    assert to_remove(RUNS, Limits(keep, older_than), {}, NOW)[0] == gone


def test_what_is_at_work_resumable_or_needed_stays_and_it_is_said_why() -> None:
    """Resumable runs go where that is asked for; the others never do."""
    runs = list(RUNS)
    runs[2] = replace(runs[2], alive=True)
    runs[3] = replace(runs[3], resumable=True)
    why = {2: "its system is pending for razer"}
    gone, kept = to_remove(runs, Limits(1, None), why, NOW)
    assert gone == [5, 1]
    assert kept == {4: "at work", 3: "could be resumed; --unfinished removes it", **why}
    gone, kept = to_remove(runs, Limits(0, None, unfinished=True), why, NOW)
    assert gone == [5, 3, 1]
    assert set(kept) == {6, 4, 2}


def fleet(folder: Path) -> Fleet:
    """A fleet of one."""
    hosts = {"p620": Host("p620", "p620", Connect("p620"))}
    return Fleet("f", str(folder), str(folder), hosts)


def test_the_last_two_deployments_of_each_host_are_needed_and_what_is_pending(
    tmp_path: Path,
) -> None:
    """Of hosts of the fleet; a rollback leads to what a host ran before the last one."""
    for hosts in (NEW, NEW, SAME, NEW, {"sold": NEW["p620"]}, SAME, SAME):
        leave(tmp_path, hosts)
    later = datetime.now(UTC) + timedelta(days=1)
    system = Evaluated(DrvPath(f"{OUT}.drv"), OUT)
    waits = Pending("p620", system, 6, "me@here", None, "no answer", datetime.now(UTC), later)
    PendingSystems(tmp_path, print).put(waits)
    found = needed(Runs(tmp_path), fleet(tmp_path), tmp_path, print)
    assert set(found) == {2, 4, 6}
    assert found[6] == "its system is pending for p620"


def test_pruning_removes_folders_and_counts_their_bytes(tmp_path: Path) -> None:
    """A dry run removes nothing and counts the same; the index forgets what is gone."""
    for _ in range(4):
        leave(tmp_path, SAME)
    runs, limits = Runs(tmp_path), Limits(2, None)
    sizes = {number: runs.folder(number).size() for number in (1, 2)}
    told = prune_runs(runs, limits, {}, dry_run=True)
    assert runs.numbers() == [4, 3, 2, 1]
    done = prune_runs(runs, limits, {})
    assert {one.number: one.size for one in done.removed} == sizes
    assert done.size == told.size == sum(sizes.values()) > 0
    assert [run.number for run in runs.recent(9)] == runs.numbers() == [4, 3]
    assert leave(tmp_path, SAME) == 5


def test_a_run_that_is_a_link_or_began_meanwhile_is_not_removed(tmp_path: Path) -> None:
    """Nothing outside the folder of runs is ever touched."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    leave(tmp_path, SAME)
    (tmp_path / "runs/2").symlink_to(precious)
    assert "is a link" in str(Runs(tmp_path).remove(2).why_not)
    assert (precious / "file").exists()
    with begin(tmp_path):
        assert Runs(tmp_path).remove(3).why_not == "it goes on"
    assert Runs(tmp_path).remove(3).why_not is None


def test_a_removal_that_was_cut_off_is_finished_by_the_next_one(tmp_path: Path) -> None:
    """What is left of it is no run, and gives no number."""
    leave(tmp_path, SAME)
    (tmp_path / "runs/.removed-7/x").mkdir(parents=True)
    assert Runs(tmp_path).numbers() == [1]
    prune_runs(Runs(tmp_path), Limits(1, None), {})
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["1"]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of a fleet that the command line finds."""
    root = tmp_path / "fleet"
    (root / "inventory").mkdir(parents=True)
    (root / "flake.nix").touch()
    (root / "inventory/hosts.yaml").write_text("hosts:\n  p620: {address: 192.0.2.1}\n")
    monkeypatch.chdir(root)
    for what in ("STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{what}_HOME", str(tmp_path / what))
    return state_folder(open_fleet(Target()))


def typed(words: str) -> int:
    """Type a command line; gives its exit code."""
    with pytest.raises(SystemExit) as caught:
        main(words.split())
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_pruning_as_it_is_typed(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pruning says what it removed, how many bytes, and what it kept and why."""
    for hosts in (SAME, None, SAME, SAME):
        leave(state, hosts)
    assert typed("run prune") == 2
    assert "expected --keep N, --older-than TIME, or both" in capsys.readouterr().err
    assert typed("run prune --keep 1 --older-than 30d") == 0
    assert capsys.readouterr().out == "removed 0 runs, 0 KiB\n"
    assert typed("run prune --keep 1 --dry-run") == 0
    said = capsys.readouterr()
    assert re.fullmatch(r"would remove 2 runs, [1-9] KiB: 3, 1\n", said.out)
    assert "kept run 2: could be resumed" in said.err
    assert typed("run prune --keep 1 --json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["number"] for one in found["removed"]] == [3, 1]
    assert found["bytes"] == sum(one["size"] for one in found["removed"]) > 0
    assert set(found["kept"]) == {"2"}
    assert Runs(state).numbers() == [4, 2]
    assert typed("run prune --keep 1 --unfinished") == 0
    assert Runs(state).numbers() == [4]


def test_a_damaged_run_is_kept_unless_unfinished_ones_go() -> None:
    """What a damaged run deployed is not known, so that a rollback might need it."""
    runs = [past(3, 0), replace(past(2, 1), damaged=True), past(1, 2)]
    go, stay = to_remove(runs, Limits(1, None), {}, NOW)
    assert (go, list(stay)) == ([1], [2])
    assert "damaged" in stay[2]
    assert to_remove(runs, Limits(1, None, unfinished=True), {}, NOW)[0] == [2, 1]


def test_a_folder_of_runs_that_cannot_be_read_is_no_empty_list(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the folder of runs is none, nobody reads that there was no run."""
    (state / "runs").rmdir() if (state / "runs").is_dir() else state.mkdir(parents=True)
    (state / "runs").write_text("")
    assert typed("run list") == 1
    assert "cannot be read: Not a directory" in capsys.readouterr().err


def test_runs_and_their_logs_as_they_are_typed(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A list with plans as plans; the log of one host; a run that never was is an error."""
    leave(state, NEW, DeployRequest(plan_only=True))
    with begin(state) as journal:
        emit = journal.recording(lambda _: None)
        emit(RunStarted(journal.run, Goal.SWITCH, ("p620",)))
        emit(LogLine("p620", "$ nix build"))
        assert typed("run list") == 0
        assert "at work" in capsys.readouterr().out
    assert typed("run list --json") == 0
    newest, plan = json.loads(capsys.readouterr().out)
    assert (newest["number"], newest["resumable"], plan["plan"]) == (2, True, True)
    assert typed("run list") == 0
    assert re.search(r"plan switch +0  1 would deploy", capsys.readouterr().out)
    assert typed("run logs 2 p620") == 0
    assert capsys.readouterr().out.endswith(" $ nix build\n")
    whole = gzip.compress(b"2025-06-30T12:00:00 p620 it goes on\n" * 999)
    (Runs(state).run(2).path / "log.gz").write_bytes(whole[:-20])
    assert typed("run logs 2") == 1
    assert "warning: the log of run 2 is damaged here" in capsys.readouterr().err
    assert typed("run logs 9") == 2
    assert "there is no run 9" in capsys.readouterr().err
    assert typed("run show 1") == 0
    assert "plan: 1 would switch in 4.0 s" in capsys.readouterr().out
    assert typed("run show 1 --json") == 0
    report = json.loads(capsys.readouterr().out)["report"]
    assert (report["type"], report["plan"]) == ("report", True)
