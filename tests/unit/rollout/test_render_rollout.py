"""Waves, and where a rollout is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from render_examples import FakeClock, report

from orchestrator.core.event import Event, Paused, RunFinished, WaveEnded, WaveStarted
from orchestrator.core.rollout import RolloutStatus, Standing, Wave, WaveStatus
from orchestrator.core.values import replace
from orchestrator.render.event_json import to_json
from orchestrator.render.output import Output
from orchestrator.render.plain import PlainLines, described
from orchestrator.render.report import ReportTable
from orchestrator.render.terminal import Board, lines
from orchestrator.rollout.draw import draw_run
from orchestrator.runs.model import RunRecord

CANARY = Wave("canary", ("p620",), 60.0)
REST = Wave("all hosts", ("razer", "samsung", "p510", "dex5550", "spare", "other"))
EVENTS: tuple[tuple[Event, str, dict[str, object]], ...] = (
    (
        WaveStarted(CANARY, 1, 2),
        "wave 1 of 2: canary: p620",
        {"type": "wave-started", "name": "canary", "number": 1, "of": 2, "hosts": ["p620"]},
    ),
    (
        WaveEnded(CANARY, 1, 2),
        "wave 1 of 2: canary ended well",
        {
            "type": "wave-ended",
            "name": "canary",
            "number": 1,
            "of": 2,
            "hosts": ["p620"],
            "failed": [],
        },
    ),
    (
        Paused("after wave 1, canary", 60.0),
        "paused for 1:00 after wave 1, canary",
        {"type": "paused", "why": "after wave 1, canary", "seconds": 60.0},
    ),
    (
        Paused("by me@sofa"),
        "paused by me@sofa",
        {"type": "paused", "why": "by me@sofa", "seconds": None},
    ),
)
STATUS = RolloutStatus(
    run=12,
    standing=Standing.GOING,
    waves=(
        WaveStatus("canary", Standing.ENDED, {"p620": "rolled_back"}),
        WaveStatus("all hosts", Standing.GOING, {"razer": "deploying", "p510": "ready"}),
    ),
)
STOPPED = replace(
    STATUS,
    standing=Standing.STOPPED,
    waves=(
        WaveStatus("canary", Standing.ENDED, {"p620": "failed"}),
        WaveStatus("all hosts", Standing.WAITING, {"razer": "skipped"}),
    ),
)
TABLE = """\
wave         host   where
1 canary     p620   rolled back
2 all hosts  razer  deploying
2 all hosts  p510   ready
"""


@pytest.mark.parametrize(("event", "line", "as_json"), EVENTS)
def test_each_event_is_told(event: Event, line: str, as_json: dict[str, object]) -> None:
    """Each event of a rollout is drawn as a line, as JSON, and above the board's hosts."""
    text = StringIO()
    PlainLines(Output(text), FakeClock()).handle(event)
    assert text.getvalue() == f"{line}\n"
    assert to_json(event) == as_json
    assert lines(Board("run 12").after(event, 0.0), 0.0, 80, 9, Output(StringIO())) == [
        f"{line} · run 12"
    ]


def test_a_large_wave_is_not_told_whole() -> None:
    """The first dozen, and how many more."""
    hosts = tuple(f"h{number}" for number in range(15))
    assert described(Wave("batch 1 of 9", hosts)).endswith(", h11, 3 more")


def _report(*, plan_only: bool) -> list[str]:
    text, words = StringIO(), StringIO()
    made = replace(report(), waves=(CANARY, REST), plan_only=plan_only)
    ReportTable(Output(text), Output(words)).handle(RunFinished(made))
    return [line for line in text.getvalue().splitlines() if line.startswith("wave ")]


def test_the_report_tells_how_waves_ended() -> None:
    """A report says how waves ended, and a plan says who would be in them."""
    assert _report(plan_only=False) == [
        "wave 1 of 2: canary: 1 unchanged",
        "wave 2 of 2: all hosts: 1 deployed, 1 deferred, 1 failed, 1 rolled back, 1 skipped, "
        "1 completed",
    ]
    assert _report(plan_only=True) == [
        "wave 1 of 2: canary: p620; then a pause of 1:00",
        "wave 2 of 2: all hosts: razer, samsung, p510, dex5550, spare, other",
    ]


def _drawn(status: RolloutStatus, *, alive: bool = True, as_json: bool = False) -> tuple[str, str]:
    results, words = StringIO(), StringIO()
    record = RunRecord(status=status)
    draw_run(12, record, Output(results), Output(words), alive=alive, as_json=as_json)
    return results.getvalue(), words.getvalue()


def test_where_each_host_is_is_a_table() -> None:
    """The state of each host of a rollout is a table, and that of the run a line."""
    assert _drawn(STATUS) == (TABLE, "run 12: going\n")


@pytest.mark.parametrize(
    ("status", "alive", "said"),
    [
        (STATUS, False, "it was cut off; to go on: orchestrator run resume 12"),
        (replace(STATUS, standing=Standing.ENDED), False, "ended"),
        (replace(STATUS, standing=Standing.STOPPED, why="p620 failed"), True, "stopped: p620"),
        (replace(STATUS, standing=Standing.STOPPED, why="p620 failed"), False, "it was cut off"),
        (replace(STOPPED, why="p620 failed"), False, "stopped: p620 failed"),
        (replace(STATUS, standing=Standing.PAUSED, why="by me@sofa"), True, "paused: by me@sofa"),
        (
            replace(STATUS, standing=Standing.PAUSED, until=datetime.now(UTC) + timedelta(days=9)),
            True,
            "paused between two waves, for another 215:",
        ),
    ],
)
def test_how_it_stands_is_said(status: RolloutStatus, alive: bool, said: str) -> None:
    """Above all whether it lives; and a script is told the same."""
    assert f"run 12: {said}" in _drawn(status, alive=alive)[1]
    found = json.loads(_drawn(status, alive=alive, as_json=True)[0])
    assert found["cut_off"] is ("cut off" in said)


def test_as_json_it_has_all() -> None:
    """A rollout's state as JSON has everything, for a script that waits for it."""
    until = datetime(2024, 5, 6, tzinfo=UTC)
    results, words = _drawn(replace(STATUS, until=until), alive=False, as_json=True)
    assert words == ""
    found = json.loads(results)
    assert found["until"] == "2024-05-06T00:00:00+00:00"
    assert found["alive"] is False
    assert found["waves"][1] == {
        "name": "all hosts",
        "standing": "going",
        "hosts": {"razer": "deploying", "p510": "ready"},
    }
