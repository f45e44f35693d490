"""A host's log in one run, and what an error holds: both have an end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from orchestrator.core.errors import StepError
from orchestrator.core.event import LogLine
from orchestrator.core.host import Connect, Host
from orchestrator.deploy.work import LOG_SIZE, LONGEST_LINE, HostWork, problem_of


def worked() -> tuple[HostWork, list[LogLine]]:
    """A host's share of a run, and the lines of its log."""
    lines: list[LogLine] = []
    session: Any = SimpleNamespace(emit=lines.append)
    return HostWork(session, Host("p620", "p620", Connect("192.0.2.1"))), lines


def test_a_log_ends_with_a_line_that_says_so() -> None:
    """Whether a host sends few lines or millions of short ones; each line has an end as well."""
    for text in ("x" * 5000, "", "y" * LONGEST_LINE * 3):
        work, lines = worked()
        for _ in range(5):
            work.log(f"{text}\n" * min(100_000, 30_000_000 // (len(text) + 1)))
        assert lines[-1].text == "… the log of this host ends here: it is longer than 32 MiB"
        assert sum(len(line.text) for line in lines) <= LOG_SIZE
        assert len(lines) < 400_000
        assert max(len(line.text) for line in lines) <= LONGEST_LINE


def test_only_newlines_begin_a_line_of_a_log() -> None:
    """What a host puts between two of them is one line."""
    work, lines = worked()
    work.log("one\v\x1c\x85\u2028two\nthree\n")
    assert [line.text for line in lines] == ["one\v\x1c\x85\u2028two", "three"]


def test_an_error_holds_the_end_of_what_was_said() -> None:
    """An error keeps the end of stderr and the beginning of its message, both bounded."""
    error = StepError("m" * 1_000_000, stderr="s" * 1_000_000 + "\nlast")
    problem = problem_of(error)
    assert len(problem.message) <= 4001
    assert problem.stderr[-1] == "last"
    assert max(map(len, problem.stderr)) <= LONGEST_LINE
    assert len(error.stderr) <= 1 << 16
