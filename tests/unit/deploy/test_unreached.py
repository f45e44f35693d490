"""A host that went back is rolled back once somebody got in anew, and not before."""

from __future__ import annotations

import pytest
from fake_host import (
    NEW,
    OLD,
    Bench,
    FakeHost,
    exits,
    left,
    loses_connection,
    refuses_login,
    then,
    turns,
)

from orchestrator.core.event import Notice
from orchestrator.core.outcome import RolledBack, Unreached, outcome_name
from orchestrator.core.run import exit_code
from orchestrator.deploy.changing import activation
from orchestrator.render.event_json import _more
from orchestrator.render.output import outcome_word
from orchestrator.ssh import local

ALL_OLD = (OLD, OLD, OLD)


def shuts(how: object) -> object:
    """An activation that fails, after which nobody gets in any more."""

    def fault(host: FakeHost) -> None:
        host.faults["connect"] = [how] * 1000  # type: ignore[list-item]

    return then(fault, rc=1)


def told(bench: Bench) -> str:
    """All that a person was told meanwhile."""
    return "\n".join(event.text for event in bench.events if isinstance(event, Notice))


def test_a_new_connection_shows_that_a_host_is_rolled_back(bench: Bench) -> None:
    """Only a connection made after the roll-back shows that a host is rolled back."""
    bench.host.goes_wrong("in activate", exits(1))
    assert isinstance(bench.deploy(), RolledBack)
    calls = bench.host.calls
    assert calls[calls.index("in activate") :].count("connect") == 1
    assert calls[-3:] == ["connect", "reached", "seen"], "the old one was not taken for a new one"
    assert bench.host.guard.lines["reached"] == "1"


@pytest.mark.parametrize("how", [loses_connection, refuses_login])
def test_a_host_that_lets_nobody_in_is_not_rolled_back(bench: Bench, how: object) -> None:
    """A host at its old system that lets nobody in is not rolled back, and that is loud."""
    bench.host.goes_wrong("in activate", shuts(how))  # type: ignore[arg-type]
    outcome = bench.deploy()
    assert isinstance(outcome, Unreached)
    assert bench.host.state == ALL_OLD
    assert bench.host.guard.lines["reached"] == "0"
    assert outcome.reason.startswith("rolled back, not yet reached: ")
    assert "no new connection came about" in str(outcome.problem.host_state)
    assert f"will boot {OLD.short}" in str(outcome.problem.host_state)
    assert "p620" in str(outcome.problem.hint)
    assert outcome.problem.lost


def test_it_is_told_as_such_everywhere(bench: Bench) -> None:
    """In words, in the history, in JSON and by the exit code."""
    bench.host.goes_wrong("in activate", shuts(loses_connection))  # type: ignore[arg-type]
    outcome = bench.deploy()
    assert outcome_word(outcome) == "rolled back, not yet reached"
    assert outcome_name(outcome) == "unreached"
    assert _more(outcome)["lost"] is True
    assert exit_code([outcome]) == 1


def test_the_next_run_settles_it(bench: Bench) -> None:
    """Whoever gets in first is told, and the host notes it; the second is not told."""
    bench.target = OLD
    left(bench.host, "returned", NEW, seen="1", reached="0")
    bench.deploy()
    assert "nobody had got in since, until now" in told(bench)
    assert bench.host.guard.lines["reached"] == "1"
    bench.events.clear()
    bench.deploy()
    assert told(bench) == ""


def test_a_plan_settles_nothing(bench: Bench) -> None:
    """A plan reports that nobody had got in since, and notes nothing on the host."""
    bench.target = OLD
    left(bench.host, "returned", NEW, reached="0")
    bench.deploy(plan_only=True)
    assert "nobody had got in since" in told(bench)
    assert bench.host.guard.lines["reached"] == "0"


def test_what_never_began_needs_no_new_connection(bench: Bench) -> None:
    """Nothing was touched, so nothing can have been shut."""
    left(bench.host, "recorded", way="ssh")
    bench.host.goes_wrong("await", turns("it never began"))
    bench.deploy()
    assert "reached" not in bench.host.guard.lines or bench.host.guard.lines["reached"] != "0"


def test_the_machine_that_one_sits_at_is_not_reached_over_a_connection(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody comes to it over SSH: what it proves itself counts."""
    monkeypatch.setattr(activation, "is_this_machine", lambda _: True)
    assert local.is_this_machine is not activation.is_this_machine
    bench.host.goes_wrong("in activate", exits(1))
    assert isinstance(bench.deploy(), RolledBack)
    assert "reached" not in bench.host.calls
