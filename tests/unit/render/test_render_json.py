"""Events as JSON, and the run's folder."""

from __future__ import annotations

import json
import re
import stat
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from render_examples import NOON, OUT, OUTCOMES, PROBLEM, report, stream

from orchestrator.core.event import (
    HostFinished,
    LogLine,
    Notice,
    Phase,
    PhaseStarted,
    RunFinished,
    RunStarted,
)
from orchestrator.render.event_json import JsonLines, phase_name, to_json
from orchestrator.render.output import Output
from orchestrator.render.runlog import OPEN, RunLog


def test_last_line_is_the_report() -> None:
    """The last JSON line is the report, with what each outcome has to tell."""
    text = StringIO()
    with JsonLines(Output(text)) as renderer:
        for event in stream():
            renderer.handle(event)
    lines = [json.loads(line) for line in text.getvalue().splitlines()]
    last = lines[-1]
    hosts = last.pop("hosts")
    assert last == {
        "type": "report",
        "run": 12,
        "exit_code": 1,
        "goal": "switch",
        "plan": False,
        "interrupted": False,
        "seconds": 12.5,
        "folder": "/runs/12",
        "revision": "abc1234-dirty",
        "waves": [],
    }
    assert list(hosts) == list(OUTCOMES)
    assert hosts["p620"] == {
        "outcome": "unchanged",
        "reason": "already runs nixos-system-p620-25.05",
        "out_path": str(OUT),
        "seconds": 1.25,
    }
    assert hosts["razer"]["warnings"] == ["degraded before and after"]
    assert hosts["razer"]["reboot_required"] == []
    assert hosts["p510"]["checks"] == []
    assert hosts["p510"]["step"] == "activate"
    assert hosts["p510"]["message"] == PROBLEM.message
    assert hosts["p510"]["stderr"] == list(PROBLEM.stderr)
    assert hosts["dex5550"]["outcome"] == "rolled_back"
    assert hosts["dex5550"]["host_state"] == PROBLEM.host_state
    assert hosts["spare"]["out_path"] is None
    assert hosts["other"]["goal"] == "build"
    assert [line["type"] for line in lines[:4]] == ["run-started", "notice", "phase", "progress"]


@pytest.mark.parametrize(("verbose", "count"), [(False, 0), (True, 1)])
def test_log_lines_are_for_the_verbose(verbose: bool, count: int) -> None:
    """Log lines are on standard output only when they are asked for."""
    text = StringIO()
    renderer = JsonLines(Output(text), verbose=verbose)
    for event in stream():
        renderer.handle(event)
    assert text.getvalue().count('"type": "log"') == count


def test_every_event_is_json() -> None:
    """Each event is one line that JSON can read, control characters and all."""
    for event in stream():
        assert json.loads(json.dumps(to_json(event)))["type"]
    text = StringIO()
    JsonLines(Output(text), verbose=True).handle(LogLine("p620", "\x1b[2J\n\x9b"))
    assert text.getvalue().isascii()
    assert text.getvalue().count("\n") == 1
    assert "\x1b" not in text.getvalue()


def test_run_folder_has_events_logs_and_report(tmp_path: Path) -> None:
    """The folder is the owner's alone and holds all that happened."""
    folder = tmp_path / "runs" / "12"
    with RunLog(lambda: NOON) as log:
        log.handle(LogLine("p620", "before any run"))
        for event in stream(str(folder)):
            log.handle(event)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    events = (folder / "events.jsonl").read_text().splitlines()
    assert len(events) == len(stream())
    assert json.loads(events[0])["at"] == "2025-06-01T12:00:00.000+00:00"
    assert json.loads((folder / "report.json").read_text())["exit_code"] == 1
    assert (folder / "p620.log").read_text() == (
        "12:00:00.000 == evaluating\n"
        "12:00:00.000 $ nix eval\n"
        "12:00:00.000 second\n"
        "12:00:00.000 warning: the clock is wrong\n"
        "12:00:00.000 == unchanged in 1.2 s: already runs nixos-system-p620-25.05\n"
    )
    assert "12:00:00.000   | line 24\n" in (folder / "p510.log").read_text()


def test_each_run_of_several_has_its_own_folder(tmp_path: Path) -> None:
    """What happens between two runs is neither's."""
    folders = tmp_path / "1", tmp_path / "2"
    with RunLog(lambda: NOON) as log:
        for folder in folders:
            for event in stream(str(folder)):
                log.handle(event)
            log.handle(Notice("nothing happens"))
    for folder in folders:
        assert len((folder / "events.jsonl").read_text().splitlines()) == len(stream())
        assert (folder / "report.json").exists()


def test_run_folder_is_written_as_things_happen(tmp_path: Path) -> None:
    """What happened is on disk at once, as after a crash nobody writes it any more."""
    started, *_ = stream(str(tmp_path))
    log = RunLog(lambda: NOON)
    log.handle(started)
    log.handle(LogLine("p620", "x"))
    assert (tmp_path / "p620.log").read_text() == "12:00:00.000 x\n"
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 2
    log.close()
    log.close()


def test_hosts_that_ended_hold_no_file_open(tmp_path: Path) -> None:
    """A run of a thousand hosts has the files of those open that are under way."""
    started, *_ = stream(str(tmp_path))
    with RunLog(lambda: NOON) as log:
        log.handle(started)
        for number in range(100):
            log.handle(LogLine(f"h{number}", "x"))
            log.handle(HostFinished(f"h{number}", OUTCOMES["p620"], 1.0))
        log.handle(LogLine("h1", "later"))
        assert {file.name for file in _open_files(tmp_path)} == {"events.jsonl", "h1.log"}
    assert not _open_files(tmp_path)
    assert (tmp_path / "h1.log").read_text().endswith(" later\n")


def test_a_thousand_hosts_under_way_have_few_files_open(tmp_path: Path) -> None:
    """A thousand hosts under way have few files open, and every line of each is in order."""
    started, *_ = stream(str(tmp_path))
    with RunLog(lambda: NOON) as log:
        log.handle(started)
        for text in ("one", "two"):
            for number in range(1000):
                log.handle(LogLine(f"h{number}", text))
        assert len(_open_files(tmp_path)) <= OPEN
    assert (tmp_path / "h7.log").read_text() == "12:00:00.000 one\n12:00:00.000 two\n"
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 2001


def test_a_host_without_changes_has_its_log_written_once(tmp_path: Path) -> None:
    """When it ends, or another thing happens to it, or the run is cut off."""
    started, *_ = stream(str(tmp_path))
    with RunLog(lambda: NOON) as log:
        log.handle(started)
        for host in ("ended", "busy", "cut"):
            log.handle(PhaseStarted(host, Phase.ASK))
        assert {file.name for file in tmp_path.iterdir()} == {"events.jsonl"}
        log.handle(HostFinished("ended", OUTCOMES["p620"], 1.0))
        log.handle(PhaseStarted("busy", Phase.BUILD))
        assert (tmp_path / "ended.log").read_text().count("\n") == 2
        assert (tmp_path / "busy.log").read_text().count("\n") == 2
    assert (tmp_path / "cut.log").read_text().count("\n") == 1


def _open_files(folder: Path) -> list[Path]:
    found = [link.readlink() for link in Path("/dev/fd").iterdir() if link.is_symlink()]
    return [file for file in found if file.parent == folder]


def test_report_is_the_same_everywhere(tmp_path: Path) -> None:
    """report.json is the object of the last JSON line."""
    started = stream(str(tmp_path))[0]
    assert isinstance(started, RunStarted)
    with RunLog(lambda: NOON) as log:
        log.handle(started)
        log.handle(RunFinished(report(folder=str(tmp_path))))
    written = json.loads((tmp_path / "report.json").read_text())
    assert written == to_json(RunFinished(report(folder=str(tmp_path))))


def test_hosts_log_has_no_escapes(tmp_path: Path) -> None:
    """A log can be printed on a terminal without harm."""
    started = stream(str(tmp_path))[0]
    assert isinstance(started, RunStarted)
    with RunLog(lambda: NOON) as log:
        log.handle(replace(started, hosts=("p620",)))
        log.handle(LogLine("p620", "\x1b[31mred\x1b[0m\r"))
    assert (tmp_path / "p620.log").read_text() == "12:00:00.000 red\n"


def test_the_page_has_every_phase() -> None:
    """A script that is told of a phase finds it in ``docs/output.md``."""
    page = Path(__file__).parents[3].joinpath("docs/output.md").read_text()
    (listed,) = re.findall(r"`phase` is one of ([^.]*)\.", page)
    assert re.findall("`([a-z-]+)`", listed) == [phase_name(phase) for phase in Phase]
