"""The table of past runs."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO

from orchestrator.core.run import PastRun
from orchestrator.render.output import Output
from orchestrator.runs.draw import draw_history

RUN = PastRun(
    number=12,
    started="2024-05-06T12:00:00+00:00",
    who="me@here",
    revision="abc",
    goal="switch",
    seconds=4.0,
    exit_code=1,
    hosts=(("p510", "deployed"), ("p620", "deployed"), ("razer", "skipped")),
)


def drawn(*runs: PastRun, notice: str | None = None, as_json: bool = False) -> tuple[str, str]:
    """What is on standard output and on standard error."""
    results, words = StringIO(), StringIO()
    draw_history(runs, notice, Output(results), Output(words), as_json=as_json)
    return results.getvalue(), words.getvalue()


def test_outcomes_are_counted() -> None:
    """A line for each run, and not a word beside it where all is well."""
    table, words = drawn(RUN, replace(RUN, number=11, exit_code=None, seconds=None, hosts=()))
    assert "2 deployed, 1 skipped" in table
    assert "cut off" in table
    assert words == ""


def test_a_run_that_goes_on_was_not_cut_off() -> None:
    """A run that is still alive is listed as one that goes on, not as cut off."""
    table, _ = drawn(replace(RUN, exit_code=None, seconds=None, hosts=(), alive=True))
    assert "goes on" in table
    assert "cut off" not in table


def test_a_time_that_is_none_is_not_known() -> None:
    """A run whose start is no valid time is listed with an unknown one."""
    for started in ("", "2024-13-01", "0001-01-01T00:00:00+14:00"):
        assert "unknown" in drawn(replace(RUN, started=started))[0]


def test_what_the_database_has_not_is_marked() -> None:
    """What the database lacks is marked, with its notices on standard error, not in JSON."""
    table, words = drawn(RUN, replace(RUN, number=11, kept=False), notice="it is locked")
    assert table.splitlines()[1].startswith(" 12  ")
    assert table.splitlines()[2].startswith("*11  ")
    assert "warning: it is locked" in words
    assert "* is not in the history's database" in words
    text, words = drawn(replace(RUN, kept=False), notice="it is locked", as_json=True)
    (run,) = json.loads(text)
    assert (run["number"], run["kept"], run["hosts"]["razer"]) == (12, False, "skipped")
    assert "locked" in words
