"""What one run writes into its folder, and how others read it."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import signal
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from render_examples import NOON, OUTCOMES, report, stream
from render_examples import run as example
from run_examples import begin, leave

from orchestrator.core.errors import UsageError
from orchestrator.core.event import (
    HostFinished,
    LogLine,
    Notice,
    Phase,
    PhaseStarted,
    Recalled,
    RunFinished,
    RunStarted,
)
from orchestrator.core.generation import BeforeRun
from orchestrator.core.host import BuildOn, BuildSite, WhenUnreachable
from orchestrator.core.outcome import Unchanged
from orchestrator.core.plan import Goal
from orchestrator.core.rollout import (
    Amount,
    Order,
    RolloutPolicy,
    RolloutStatus,
    Stage,
    Standing,
    Wave,
    WaveStatus,
    WhenSpent,
    Word,
)
from orchestrator.core.run import CopyMethod, DeployRequest, HostResult, Reboot, Report
from orchestrator.core.specialisation import Specialise, SpecialisePolicy
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.core.stored import DamagedError
from orchestrator.runs.folder import EVENTS, LOG, ORDER, PROGRESS, RunFolder
from orchestrator.runs.journal import Journal
from orchestrator.runs.model import NothingAskedError
from orchestrator.runs.store import Runs

OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system")
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
REQUEST = DeployRequest(
    selectors=("tag:rack", "p620"),
    goal=Goal.BOOT,
    build=BuildSite(BuildOn.BUILDER, "p620"),
    verify=False,
    plan_only=True,
    plan_builds=True,
    force=True,
    cache=False,
    emergency="fire",
    copy=CopyMethod.STREAM,
    unreachable=WhenUnreachable.DEFER,
    specialisation=SpecialisePolicy(Specialise.NAMED, "gaming"),
    reboot=Reboot.ALWAYS,
    skip_preflight=("clock",),
    despite_hold="abcd",
    systems={"p620": Evaluated(DrvPath(f"{OUT}.drv"), OUT)},
    revision="abc",
    back=BeforeRun(7, "me@here", {"p620": OUT}),
    catch_up=True,
    title="all",
    all_must_build=True,
    fast=True,
    rollout=RolloutPolicy(
        canary=Amount(1),
        batch=Amount(10, percent=True),
        pause=3.5,
        budget=Amount(5, percent=True),
        when_spent=WhenSpent.ROLL_BACK_RUN,
        stages=(Stage("lab", "tag:lab", Amount(2)),),
        at_once=False,
    ),
    waves=(Wave("canary", ("p620",), 60.0), Wave("all hosts", ("razer", "p510"))),
)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """That of run 12, at noon."""
    (tmp_path / "12").mkdir()
    return Journal(example(str(tmp_path / "12")), DeployRequest(), "12-abcd", lambda: NOON)


def written(journal: Journal, *events: object) -> RunFolder:
    """Write events, close the journal, and look at what it left."""
    emit = journal.recording(lambda _: None)
    with journal:
        for event in events:
            emit(event)  # type: ignore[arg-type]
    return RunFolder(Path(journal.run.folder).parent, 12)


def log(run: RunFolder, host: str | None = None) -> list[str]:
    """The log's lines; those of a host without its name."""
    lines = ((line.host, line.text) for line in run.log())
    return [text for name, text in lines if host in (None, name)]


def test_a_run_leaves_two_files_that_its_owner_alone_may_read(journal: Journal) -> None:
    """The events and the log, both compressed; the report comes back as it was."""
    folder = str(journal.run.folder)
    run = written(journal, *stream(folder))
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in run.path.iterdir()}
    assert files == {"events.jsonl.gz": 0o600, "log.gz": 0o600}
    record = run.record()
    assert record.finished == RunFinished(report(folder=folder))
    assert record.started == stream(folder)[0]
    assert record.damage is None
    assert log(run, "p620") == [
        "== evaluating",
        "$ nix eval",
        "second",
        "warning: the clock is wrong",
        "== unchanged in 1.2 s: already runs nixos-system-p620-25.05",
    ]
    assert "  | line 24" in log(run, "p510")
    first = gzip.decompress((run.path / "log.gz").read_bytes()).decode().splitlines()[1]
    assert first == "12:00:00.000 - notice: fleet.json was refreshed"


def test_nothing_is_kept_of_a_host_that_is_unchanged(journal: Journal) -> None:
    """Of one about which something was done or said, everything is."""
    host = Unchanged("same", OUT)
    events: list[object] = []
    for name in ("same", "warned"):
        events += [PhaseStarted(name, Phase.ASK), Recalled(name, True, "known")]
    events += [Notice("its clock is wrong", "warned", warning=True)]
    events += [HostFinished(name, host, 1.0) for name in ("same", "warned")]
    run = written(journal, stream(journal.run.folder)[0], *events)
    assert log(run, "same") == []
    assert log(run, "warned") == [
        "== asking",
        "not evaluated: known",
        "warning: its clock is wrong",
        "== unchanged in 1.0 s: same",
    ]
    assert b'"same"' not in (run.path / EVENTS).read_bytes().split(b"\n", 2)[2].replace(
        b'"reason":"same"', b""
    )


def test_an_unchanged_fleet_of_a_thousand_leaves_two_small_files(tmp_path: Path) -> None:
    """Whose sizes do not grow by more than a line of the report for each host."""
    sizes = {}
    for count in (100, 1000):
        names = [f"h{number:04}" for number in range(count)]
        outcome = Unchanged("no file changed since it was learned; it runs that system", OUT)
        with begin(tmp_path) as one:
            emit = one.recording(lambda _: None)
            emit(RunStarted(one.run, Goal.SWITCH, tuple(names)))
            for name in names:
                emit(PhaseStarted(name, Phase.ASK))
                emit(HostFinished(name, outcome, 0.1))
            hosts = {name: HostResult(outcome, 0.1) for name in names}
            emit(RunFinished(Report(one.run, Goal.SWITCH, False, hosts, 1.0)))
        assert len(list(Path(one.run.folder).iterdir())) == 2
        sizes[count] = Runs(tmp_path).run(one.run.number).size()
    assert sizes[1000] < 100_000
    assert (sizes[1000] - sizes[100]) / 900 < 100


def test_what_happened_is_on_disk_at_once(journal: Journal) -> None:
    """Readers see the events and the log of a run that is at work, or was killed, whole."""
    emit = journal.recording(lambda _: None)
    emit(stream(journal.run.folder)[0])
    emit(LogLine("p620", "x"))
    emit(PhaseStarted("p620", Phase.BUILD))
    run = RunFolder(Path(journal.run.folder).parent, 12)
    assert run.is_alive
    assert log(run, "p620") == ["x", "== building"]
    assert run.record().started is not None
    with (run.path / EVENTS).open("ab") as file:
        file.write(b'{"at":"2025-')
    assert run.record().damage is None
    with journal:
        pass
    assert not run.is_alive


def test_a_log_has_no_escapes_and_a_line_stays_a_line(journal: Journal) -> None:
    """A log can be printed on a terminal, and no host can speak for another one in it."""
    nasty = LogLine("p620", "\x1b[31mred\x1b[0m\r12:00:00.000 razer is well\u2028x\ud800")
    run = written(journal, stream(journal.run.folder)[0], nasty, Notice("half \ud800 a pair"))
    assert log(run, "p620") == ["red 12:00:00.000 razer is well x"]
    assert log(run, "razer") == []
    assert any("half ? a pair" in line or "half  a pair" in line for line in log(run))


def test_a_request_comes_back_whole(tmp_path: Path) -> None:
    """Every field of it, whatever a person asked for."""
    names = REQUEST.__struct_fields__
    changed = [name for name in names if getattr(REQUEST, name) != _default(name)]
    assert changed == [*names], "a new field is in the example"
    with begin(tmp_path, REQUEST) as one:
        assert Runs(tmp_path).run(1).asked().request == REQUEST
    asked = Runs(tmp_path).run(1).asked()
    assert (asked.run, asked.token) == (one.run, one.token)
    assert asked.run.title == "plan all"


def _default(name: str) -> object:
    return getattr(DeployRequest(), name)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "kept nothing of it"),
        ("", "kept nothing of it"),
        ("{", "kept nothing of it"),
        ("{\n", "cannot be read"),
        ("null\n", "cannot be read"),
        ('{"at":"2025-06-01T12:00:00Z","event":{"type":"asked"}}\n', "event.run is missing"),
        ('{"at":"2025-06-01T12:00:00","event":{"type":"asked"}}\n', "cannot be read"),
        ("[" * 100_000 + "\n", "cannot be read"),
    ],
)
def test_a_request_that_cannot_be_read_is_an_error_that_says_why(
    tmp_path: Path, text: str | None, why: str
) -> None:
    """What a run was asked for is never guessed from a damaged file: the error says why."""
    (tmp_path / "12").mkdir()
    if text is not None:
        (tmp_path / "12" / EVENTS).write_text(text)
    with pytest.raises(UsageError, match=why):
        RunFolder(tmp_path, 12).asked()


def test_a_run_of_a_newer_orchestrator_is_said_to_be_one(tmp_path: Path) -> None:
    """A newer orchestrator's request may mean what this one does not know: it is refused."""
    leave(tmp_path)
    events = tmp_path / "runs/1" / EVENTS
    events.write_text(events.read_text().replace('"format":1', '"format":2'))
    with pytest.raises(UsageError, match="newer"):
        Runs(tmp_path).run(1).asked()


@pytest.mark.parametrize("name", ["events.jsonl.gz", "events.jsonl", "progress.json", "log.gz"])
def test_no_file_of_a_run_is_read_through_a_link_out_of_its_folder(
    tmp_path: Path, name: str
) -> None:
    """A run's files are read in its folder only, through no link, and regular files only."""
    elsewhere = tmp_path / "elsewhere"
    leave(elsewhere, {"p620": HostResult(Unchanged("same", OUT), 1)}, status=STATUS)
    whole = elsewhere / "runs/1"
    (whole / "progress.json").write_text("{}")
    run = tmp_path / "runs/12"
    run.mkdir(parents=True)
    (run / name).symlink_to(whole / name)
    folder = RunFolder(tmp_path / "runs", 12)
    assert folder.record().asked is None
    assert folder.status() is None
    if name == "log.gz":
        with pytest.raises(DamagedError, match="symbolic link"):
            list(folder.log())
    else:
        assert list(folder.log()) == []
    (run / name).unlink()
    os.mkfifo(run / name)
    assert folder.record().asked is None


def test_where_a_rollout_is_is_told_while_it_goes_on_and_afterwards(journal: Journal) -> None:
    """In a file of its own first, which is gone once the run has ended."""
    run = RunFolder(Path(journal.run.folder).parent, 12)
    assert run.status() is None
    journal.write_status(STATUS)
    assert run.status() == STATUS
    assert (run.path / PROGRESS).exists()
    run.put_order(Order("1", Word.PAUSE, "me@sofa"))
    assert journal.order() == Order("1", Word.PAUSE, "me@sofa")
    written(journal, *stream(journal.run.folder))
    assert run.status() == STATUS
    assert {file.name for file in run.path.iterdir()} == {"events.jsonl.gz", "log.gz"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": 1}', '{"id":"1","word":"fly","who":"x"}'])
def test_an_order_or_a_status_that_is_damaged_is_none(journal: Journal, text: str) -> None:
    """A run does nothing that nobody said."""
    run = RunFolder(Path(journal.run.folder).parent, 12)
    for name in (PROGRESS, ORDER):
        (run.path / name).write_text(text)
    assert run.status() is None
    assert journal.order() is None


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from run_examples import begin
from render_examples import stream
from orchestrator.core.event import LogLine, RunFinished
journal = begin(Path(sys.argv[1]))
emit = journal.recording(lambda _: None)
for event in stream(journal.run.folder)[:-1]:
    emit(event)
emit(LogLine("p620", "the last words"))
print("ready", flush=True)
signal.pause()
"""


def test_a_run_that_is_killed_leaves_all_that_it_did(tmp_path: Path) -> None:
    """A killed run is alive until then; afterwards it is known to be dead, by its token, too."""
    here = str(Path(__file__).parents[1])
    argv = (sys.executable, "-c", KILLED, str(tmp_path), here)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        run = Runs(tmp_path).run(1)
        token = run.asked().token
        assert run.is_alive
        assert not run.died(token)
        process.send_signal(signal.SIGKILL)
    assert not run.is_alive
    assert run.died(token)
    assert not run.died("1-other")
    assert log(run, "p620")[-1] == "the last words"
    assert set(run.record().outcomes) == set(OUTCOMES)
    (past,) = Runs(tmp_path).recent(9)
    assert (past.exit_code, past.resumable) == (None, True)
    assert {file.name for file in run.path.iterdir()} == {EVENTS, LOG}


def test_damage_of_any_kind_is_said_and_crashes_nobody(tmp_path: Path) -> None:
    """What can be read of a run is read; a line that cannot is gone over."""
    hosts = {"p620": HostResult(Unchanged("same", OUT), 1)}
    number = leave(tmp_path, hosts, status=STATUS)
    events = tmp_path / f"runs/{number}/events.jsonl.gz"
    whole = events.read_bytes()
    lines = gzip.decompress(whole).splitlines(keepends=True)
    lines[1] = b'{"at": 7}\n'
    events.write_bytes(gzip.compress(b"".join(lines)))
    record = Runs(tmp_path).run(number).record()
    assert record.finished is not None
    assert "line 2 of its events" in str(record.damage)
    chance = random.Random(7)  # noqa: S311
    for _ in range(60):
        at = chance.randrange(len(whole))
        flipped = whole[:at] + bytes([whole[at] ^ (1 << chance.randrange(8))]) + whole[at + 1 :]
        events.write_bytes(chance.choice([flipped, whole[:at], b"", bytes(50), whole + b"x"]))
        run = Runs(tmp_path).run(number)
        run.record()
        run.past()
        with contextlib.suppress(UsageError):
            run.asked()
        assert [past.number for past in Runs(tmp_path).recent(9)] == [number]


def test_a_run_that_kept_nothing_is_told_by_its_folder(tmp_path: Path) -> None:
    """Of a run that kept nothing its folder says the number and when it was made."""
    (tmp_path / "runs/3").mkdir(parents=True)
    (run,) = Runs(tmp_path).recent(9)
    assert (run.number, run.exit_code, run.resumable) == (3, None, False)
    assert datetime.fromisoformat(run.started).tzinfo is not None
    with pytest.raises(NothingAskedError):
        Runs(tmp_path).run(3).asked()


def test_the_stored_entries_are_lines_of_json(journal: Journal) -> None:
    """With a time and an event, whose type is said; progress and log lines are not among them."""
    run = written(journal, *stream(journal.run.folder))
    lines = gzip.decompress((run.path / "events.jsonl.gz").read_bytes()).splitlines()
    entries = [json.loads(line) for line in lines]
    assert {entry["at"] for entry in entries} == {"2025-06-01T12:00:00Z"}
    kinds = [entry["event"]["type"] for entry in entries]
    assert kinds[:2] == ["asked", "run-started"]
    assert kinds[-1] == "run-finished"
    assert not {"progress", "log-line"} & set(kinds)
    outcomes = [e["event"]["outcome"]["outcome"] for e in entries if "outcome" in e["event"]]
    assert outcomes == [
        *("unchanged", "deployed", "deferred", "failed", "rolled_back", "skipped", "completed")
    ]
