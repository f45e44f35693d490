"""Events as JSON, and the run's folder."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path

import pytest
from render_examples import OUT, OUTCOMES, PROBLEM, stream

from orchestrator.core.event import (
    LogLine,
    Phase,
)
from orchestrator.render.event_json import JsonLines, phase_name, to_json
from orchestrator.render.output import Output


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
        "specialisation": None,
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


def test_the_page_has_every_phase() -> None:
    """A script that is told of a phase finds it in ``docs/output.md``."""
    page = Path(__file__).parents[3].joinpath("docs/output.md").read_text()
    (listed,) = re.findall(r"`phase` is one of ([^.]*)\.", page)
    assert re.findall("`([a-z-]+)`", listed) == [phase_name(phase) for phase in Phase]
