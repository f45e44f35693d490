"""A report as Markdown, such as for a comment on a change; GitHub's and CommonMark alike.

All that comes from a host or a file stands in a code span: nothing of it is markup, HTML, a link,
a mention or a reference there. https://github.github.com/gfm/#code-spans
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from orchestrator.core.event import Event, RunFinished
from orchestrator.core.outcome import Deployed
from orchestrator.core.run import HostResult, Report
from orchestrator.render import alike
from orchestrator.render.foreseen import Row, groups, rows
from orchestrator.render.output import Output, clean, cut, outcome_word, problem_of
from orchestrator.render.plain import Renderer
from orchestrator.render.report import summary, warnings_of

SIZE = 60_000
"""Characters of all: GitHub takes comments of 65,536."""

MARK = "<!-- orchestrator plan -->"
"""The first line: whoever writes comments finds his last one by it, and replaces that."""

SHOWN = 20
"""Names of one kind."""

_LONGEST = 300
"""Characters in one code span."""


def code(text: str) -> str:
    """Put text into a code span that it does not end; a bar would end a table's cell.

    Backticks in a row, which the span's own must outnumber, are told up to three.
    """
    text = cut(clean(text), _LONGEST)[:_LONGEST].replace("|", "¦").strip() or " "
    text = re.sub("`{4,}", "```", text)
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"


class Markdown(Renderer):
    """Writes the report, and nothing before it.

    Args:
        results: Standard output.
    """

    def __init__(self, results: Output) -> None:
        self._results = results

    def handle(self, event: Event) -> None:
        """Write the report; other events are not ours."""
        if isinstance(event, RunFinished):
            for line in document(event.report):
                self._results.line(line)

    def close(self) -> None:
        """Nothing is held open."""


def document(report: Report) -> Iterator[str]:
    """Say a report in lines: a table of hosts, warnings, and a block for each that would change."""
    left = SIZE
    blocks = (_table(report), _warnings(report), *(_details(*group) for group in groups(report)))
    for number, block in enumerate(blocks):
        lines = list(block)
        left -= sum(len(line.encode()) + 1 for line in lines)
        if left < 0 and number:
            yield f"… and {len(blocks) - number} more blocks, which are too long for a comment"
            return
        yield from lines


def _table(report: Report) -> Iterator[str]:
    yield MARK
    yield f"### {'Plan' if report.plan_only else 'Run'}"
    yield ""
    yield f"{code(summary(report))}"
    yield ""
    yield "| host | plan | why |"
    yield "|---|---|---|"
    told = list(alike.rows(report))
    for row in told[:_HOSTS]:
        word = outcome_word(row.outcome, plan=report.plan_only)
        yield f"| {code(row.called)} | {word} | {code(row.reason)} |"
    if more := sum(len(row.hosts) for row in told[_HOSTS:]):
        yield f"| … | | {more} more |"
    yield ""


_HOSTS = 100
"""Rows of the table."""


def _warnings(report: Report) -> Iterator[str]:
    warnings = (
        f"- **warning** {code(alike.named(report, names))}: {code(warning)}"
        for warning, names in warnings_of(report).items()
    )
    problems = (
        f"- **{outcome_word(result.outcome)}** {code(name)}: {code(problem.message)}"
        for name, result in report.hosts.items()
        if (problem := problem_of(result.outcome)) is not None
    )
    yield from _few(problems, "problems")
    yield from _few(warnings, "warnings")
    yield ""


def _few(lines: Iterable[str], what: str) -> Iterator[str]:
    found = list(lines)
    yield from found[:SHOWN]
    if (more := len(found) - SHOWN) > 0:
        yield f"- … and {more} more {what}"


def _details(names: list[str], result: HostResult) -> Iterator[str]:
    outcome = result.outcome
    assert isinstance(outcome, Deployed)
    assert outcome.foreseen is not None
    yield f"#### {_codes(tuple(names))}: would {outcome.goal.value}"
    yield ""
    closure = outcome.changed.closure if outcome.changed else None
    yield from map(_line, rows(closure, outcome.foreseen))
    yield ""


def _line(row: Row) -> str:
    sign = {"+": "added ", "-": "removed ", "~": "changed ", "": ""}.get(row.sign, f"{row.sign} ")
    said = ", ".join(row.names) if row.own else _codes(row.names)
    return f"- **{row.topic}** {sign}{said}"


def _codes(names: tuple[str, ...]) -> str:
    more = len(names) - SHOWN
    shown = ", ".join(map(code, names[:SHOWN]))
    return f"{shown} and {more} more" if more > 0 else shown
