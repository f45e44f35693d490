"""The table of past runs."""

from __future__ import annotations

import json
from io import StringIO

from orchestrator.core.run import PastRun
from orchestrator.core.values import replace
from orchestrator.render.output import Output
from orchestrator.runs.draw import draw_log, draw_runs
from orchestrator.runs.model import LoggedLine

RUN = PastRun(
    number=12,
    started="2024-05-06T12:00:00+00:00",
    who="me@here",
    revision="abc",
    goal="switch",
    seconds=4.0,
    exit_code=1,
    hosts={"p510": "deployed", "p620": "deployed", "razer": "skipped"},
)


def drawn(*runs: PastRun, as_json: bool = False) -> str:
    """What is on standard output."""
    results = StringIO()
    draw_runs(runs, Output(results), as_json=as_json)
    return results.getvalue()


def test_outcomes_are_counted_in_a_line_for_each_run() -> None:
    """A run that told no end was cut off."""
    table = drawn(RUN, replace(RUN, number=11, exit_code=None, seconds=None, hosts={}))
    assert "2 deployed, 1 skipped" in table
    assert "cut off" in table


def test_a_plan_is_listed_as_a_plan_and_not_as_a_deployment() -> None:
    """A plan in the list of runs has the outcomes that would have been."""
    table = drawn(replace(RUN, goal="plan switch", plan=True))
    assert "plan switch" in table
    assert "1 skipped, 2 would deploy" in table
    assert "deployed" not in table
    built = replace(RUN, goal="plan build", plan=True, hosts={"p620": "completed"})
    assert "1 would build" in drawn(built)


def test_a_run_that_is_at_work_was_not_cut_off() -> None:
    """A run that is at work is listed as that: its end is still to come."""
    table = drawn(replace(RUN, exit_code=None, seconds=None, hosts={}, alive=True))
    assert "at work" in table
    assert "cut off" not in table


def test_a_time_that_is_none_is_said_not_to_be_known() -> None:
    """A time that a damaged file does not have is said not to be known."""
    for started in ("", "2024-13-01", "0001-01-01T00:00:00+14:00"):
        assert "unknown" in drawn(replace(RUN, started=started))


def test_what_a_damaged_run_says_cannot_control_the_terminal() -> None:
    """A run's title and who ran it come from a file: escapes in them are not printed."""
    assert "\x1b" not in drawn(replace(RUN, goal="\x1b[2Jswitch", who="\x1b]0;x\x07me"))


def test_a_script_gets_all_fields_as_json() -> None:
    """An object for each run, its hosts by their names."""
    (found,) = json.loads(drawn(RUN, as_json=True))
    assert found == {
        "number": 12,
        "started": "2024-05-06T12:00:00+00:00",
        "who": "me@here",
        "revision": "abc",
        "goal": "switch",
        "seconds": 4.0,
        "exit_code": 1,
        "hosts": {"p510": "deployed", "p620": "deployed", "razer": "skipped"},
        "plan": False,
        "alive": False,
        "resumable": False,
        "damaged": False,
    }


LOG = (
    LoggedLine("12:00:00.000", "", "run 12: switch"),
    LoggedLine("12:00:01.000", "p620", "== building"),
    LoggedLine("12:00:02.000", "razer", "\x1b[2Jhello"),
    LoggedLine("12:00:03.000", "p620", "done"),
)


def printed(host: str | None = None, last: int | None = None, *, as_json: bool = False) -> str:
    """A log."""
    results = StringIO()
    draw_log(LOG, host, last, Output(results), as_json=as_json)
    return results.getvalue()


def test_a_log_is_printed_by_host_without_what_controls_a_terminal() -> None:
    """All of it, a host's, or the last lines."""
    assert printed() == (
        "12:00:00.000 - run 12: switch\n12:00:01.000 p620 == building\n"
        "12:00:02.000 razer hello\n12:00:03.000 p620 done\n"
    )
    assert printed("p620") == "12:00:01.000 == building\n12:00:03.000 done\n"
    assert printed("p620", 1) == "12:00:03.000 done\n"
    assert printed("other") == ""
    lines = [json.loads(line) for line in printed("razer", as_json=True).splitlines()]
    assert lines == [{"time": "12:00:02.000", "host": "razer", "text": "\x1b[2Jhello"}]
    assert "\x1b" not in printed("razer", as_json=True)
