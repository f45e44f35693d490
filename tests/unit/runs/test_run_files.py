"""The files by which a run and other terminals talk."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.core.errors import UsageError
from orchestrator.core.generation import BeforeLast
from orchestrator.core.host import Absent, BuildOn, BuildSite
from orchestrator.core.plan import Goal
from orchestrator.core.rollout import (
    Amount,
    Order,
    RolloutPolicy,
    RolloutStatus,
    Standing,
    Wave,
    WaveStatus,
    WhenSpent,
    Word,
)
from orchestrator.core.run import CopyMethod, DeployRequest, Reboot, Run
from orchestrator.runs import request_file
from orchestrator.runs.files import RunFiles

STATUS = RolloutStatus(
    run=12,
    standing=Standing.PAUSED,
    waves=(
        WaveStatus("canary", Standing.ENDED, {"p620": "deployed"}),
        WaveStatus("all hosts", Standing.WAITING, {"razer": "ready"}),
    ),
    why="between two waves",
    until=datetime(2024, 5, 6, tzinfo=UTC),
    answered="abc",
)
WAVES = (Wave("canary", ("p620",), 60.0), Wave("all hosts", ("razer", "p510")))
REQUEST = DeployRequest(
    selectors=("tag:rack", "p620"),
    goal=Goal.BOOT,
    build=BuildSite(BuildOn.BUILDER, "p620"),
    verify=False,
    force=True,
    cache=False,
    emergency="fire",
    copy=CopyMethod.STREAM,
    absent=Absent.DEFER,
    reboot=Reboot.ALWAYS,
    skip_preflight=("clock",),
    despite_hold="abcd",
    rollout=RolloutPolicy(budget=Amount(5, percent=True), when_spent=WhenSpent.ROLL_BACK_RUN),
    waves=WAVES,
    all_must_build=True,
    fast=True,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of run 12."""
    made = tmp_path / "12"
    made.mkdir()
    return made


def _run(folder: Path) -> Run:
    return Run(12, str(folder), "me@here", "abc", datetime(2024, 5, 6, tzinfo=UTC))


def test_what_is_written_is_read(folder: Path) -> None:
    """Where the rollout is, and the last word that it was told."""
    files = RunFiles(folder)
    assert files.status() is None
    assert files.order() is None
    files.write_status(STATUS)
    assert files.status() == STATUS
    files.put_order(Order("1", Word.PAUSE, "me@sofa"))
    files.put_order(Order("2", Word.ABORT, "me@sofa"))
    assert files.order() == Order("2", Word.ABORT, "me@sofa")
    assert sorted(path.name for path in folder.iterdir()) == ["control", "rollout.json"]


@pytest.mark.parametrize(
    ("written", "damaged"),
    [
        ('"run": 12', '"run": Infinity'),
        ('"ready"', "7"),
        ('"ready"', "null"),
        ('"2024-05-06T00:00:00+00:00"', '"2024-05-06T00:00:00"'),
    ],
)
def test_a_status_is_believed_whole_or_not_at_all(folder: Path, written: str, damaged: str) -> None:
    """Nobody who draws it meets anything that it never has."""
    files = RunFiles(folder)
    files.write_status(STATUS)
    file = folder / "rollout.json"
    assert written in file.read_text()
    file.write_text(file.read_text().replace(written, damaged))
    assert files.status() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 9}', '{"id": "1"}', "\udcff"])
def test_damage_is_nothing(folder: Path, text: str) -> None:
    """A damaged file of a run counts as none, and crashes neither the run nor its readers."""
    for name in ("rollout.json", "control"):
        (folder / name).write_text(text, errors="surrogateescape")
    assert RunFiles(folder).status() is None
    assert RunFiles(folder).order() is None


def test_what_is_no_file_is_nothing(folder: Path) -> None:
    """A folder in the place of a run's file counts as no file."""
    for name in ("rollout.json", "control", "alive"):
        (folder / name).mkdir()
    files = RunFiles(folder)
    assert (files.status(), files.order(), files.is_alive()) == (None, None, False)


def test_a_run_is_alive_until_its_process_ends(folder: Path) -> None:
    """Whatever that dies of: here of a kill."""
    files = RunFiles(folder)
    assert not files.is_alive()
    program = (
        "import sys, time; from pathlib import Path\n"
        "from orchestrator.runs.files import RunFiles\n"
        "with RunFiles(Path(sys.argv[1])).living('7-abcd'):\n"
        "    print('up', flush=True); time.sleep(600)"
    )
    argv = (sys.executable, "-c", program, str(folder))
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert files.is_alive()
        assert not files.died("7-abcd")
        process.kill()
    assert not files.is_alive()
    assert files.died("7-abcd")


@pytest.mark.parametrize("content", ["8-abcd", "", None])
def test_a_run_that_is_not_known_to_be_that_one_has_not_died(
    folder: Path, content: str | None
) -> None:
    """Another machine's run may have the same number."""
    if content is not None:
        (folder / "alive").write_text(content)
    assert not RunFiles(folder).died("7-abcd")


def test_a_request_comes_back_whole(folder: Path) -> None:
    """All that a person asked for, as it was; with the waves that it went."""
    request_file.keep(_run(folder), REQUEST, WAVES)
    assert request_file.kept(folder) == request_file.Kept(REQUEST, "abc")
    assert (folder / "request.json").stat().st_mode & 0o777 == 0o600
    # What is told otherwise, or refused: a new field must be in one of the two.
    left_out = {"plan_only", "systems", "revision", "back", "catch_up", "title"}
    changed = {f.name for f in fields(REQUEST) if getattr(REQUEST, f.name) != _default(f.name)}
    assert changed | left_out == {field.name for field in fields(REQUEST)}


def _default(name: str) -> object:
    return getattr(DeployRequest(), name)


@pytest.mark.parametrize(
    ("request_", "hint"),
    [
        (DeployRequest(back=BeforeLast()), "orchestrator rollback"),
        (DeployRequest(catch_up=True), "orchestrator pending deliver"),
    ],
)
def test_what_was_no_deployment_is_not_gone_on_with(
    folder: Path, request_: DeployRequest, hint: str
) -> None:
    """To roll back "to what ran before" twice is to be there again."""
    request_file.keep(_run(folder), request_, WAVES)
    with pytest.raises(UsageError, match="run 12 was a") as caught:
        request_file.kept(folder)
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "is not known"),
        ("{", "cannot be read"),
        ('{"format": 2}', "newer"),
        ('{"format": 1, "kind": "deployment", "goal": 1}', "cannot be read"),
    ],
)
def test_a_request_that_cannot_be_read_is_refused(folder: Path, text: str | None, why: str) -> None:
    """A request of a run that cannot be read is refused and never guessed."""
    if text is not None:
        (folder / "request.json").write_text(text)
    with pytest.raises(UsageError, match=why):
        request_file.kept(folder)
