"""Checks, drawn: for people, and as JSON, Markdown or one page of HTML."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from orchestrator.core.errors import StepError
from orchestrator.core.units import ago, listing
from orchestrator.render.output import Colour, Output, clean
from orchestrator.render.report import (
    Cell,
    Column,
    draw_step_error,
    error_json,
    print_json,
    print_table,
)
from orchestrator.security.model import Checked, Finding, Severity

Found = Mapping[str, Checked | StepError]

_COLUMNS = (
    Column("severity"),
    Column("finding"),
    Column("seen", flexible=True),
    Column("since"),
)
_COLOURS = {
    Severity.CRITICAL: Colour.BAD,
    Severity.HIGH: Colour.BAD,
    Severity.MODERATE: Colour.WARN,
    Severity.LOW: Colour.WARN,
    Severity.NOTE: Colour.FAINT,
}


def draw_checks(found: Found, results: Output, words: Output, *, notes: bool) -> None:
    """Draw what is found on hosts, the worst first; with ``notes`` what is no alarm, too."""
    for name, one in found.items():
        if isinstance(one, StepError):
            draw_step_error(name, one, words)
            continue
        for line in _doubts(one):
            words.line(f"warning: {name}: {line}")
        results.line(f"{results.paint(name, Colour.STRONG)}: {summary(one)}")
        shown = [each for each in one.findings if each.is_alarm or notes]
        if shown:
            print_table(results, _COLUMNS, [_row(each, one) for each in shown])
        for each in shown:
            if each.is_alarm:
                results.line(f"  {clean(each.id)}: {clean(each.advice)}")
        if one.gone:
            results.line(f"  gone since the last check: {clean(listing(one.gone, 5))}")


def summary(one: Checked) -> str:
    """Say in a line what a check found."""
    alarms = len(one.alarms)
    notes = sum(each.severity is Severity.NOTE for each in one.findings)
    accepted = sum(bool(each.accepted) for each in one.findings)
    parts = [f"{alarms} finding{'' if alarms == 1 else 's'}" if alarms else "nothing found"]
    parts += [f"{accepted} accepted"] * bool(accepted)
    parts += [f"{notes} note{'' if notes == 1 else 's'} (--notes)"] * bool(notes)
    parts.append(f"compared with its {one.compared}")
    return ", ".join(parts)


def _doubts(one: Checked) -> Iterator[str]:
    if one.why:
        yield f"not compared with its configuration: {clean(one.why)}"
    if one.unseen:
        yield f"not seen: {clean(listing(one.unseen, 12))}"
    yield from map(clean, one.expired)
    if one.not_kept:
        yield clean(one.not_kept)


def _row(one: Finding, check: Checked) -> tuple[str | Cell, ...]:
    said = f"{one.seen}; accepted: {one.accepted}" if one.accepted else one.seen
    word = Cell(one.severity.value, _COLOURS[one.severity])
    return word, one.id, said, _since(one, check)


def _since(one: Finding, check: Checked) -> str:
    if one.since is None or one.since >= check.at:
        return "new" if check.before else "now"
    return ago(one.since, datetime.now(UTC))


def draw_json(found: Found, results: Output) -> None:
    """Print checks as JSON."""
    print_json(results, {name: _to_json(one) for name, one in found.items()})


def _to_json(one: Checked | StepError) -> dict[str, Any]:
    if isinstance(one, StepError):
        return {"checked": False, "error": error_json(one)}
    return {
        "checked": True,
        "at": one.at.isoformat(),
        "system": one.system,
        "compared": one.compared,
        "why": one.why,
        "before": one.before.isoformat() if one.before else None,
        "findings": [_finding_json(each) for each in one.findings],
        "gone": list(one.gone),
        "unseen": list(one.unseen),
        "expired": list(one.expired),
    }


def _finding_json(one: Finding) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind.value,
        "subject": one.subject,
        "severity": one.severity.value,
        "declared": one.declared,
        "seen": one.seen,
        "since": one.since.isoformat() if one.since else None,
        "accepted": one.accepted or None,
        "alarm": one.is_alarm,
        "advice": one.advice,
    }


_HEADS = ("severity", "finding", "declared", "seen", "since", "what to do")


def _cells(one: Finding, check: Checked) -> Sequence[str]:
    severity = "accepted" if one.accepted else one.severity.value
    said = f"{one.seen}; accepted: {one.accepted}" if one.accepted else one.seen
    return tuple(
        clean(text)
        for text in (severity, one.id, one.declared, said, _since(one, check), one.advice)
    )


def draw_markdown(found: Found, results: Output) -> None:
    """Print checks as Markdown: a table for each host."""
    for name, one in found.items():
        results.line(f"## {name}\n")
        if isinstance(one, StepError):
            results.line(f"Not checked: {_escaped(clean(one.message))}\n")
            continue
        results.line(f"{summary(one)}; {one.at:%Y-%m-%d %H:%M} UTC\n")
        for line in _doubts(one):
            results.line(f"- {_escaped(line)}")
        if one.findings:
            results.line(f"\n| {' | '.join(_HEADS)} |\n|{'---|' * len(_HEADS)}")
        for each in one.findings:
            results.line(f"| {' | '.join(map(_escaped, _cells(each, one)))} |")
        results.line()


def _escaped(text: str) -> str:
    """Have Markdown take text for text: CommonMark 2.4."""
    return "".join(f"\\{each}" if each in "\\`*_{}[]<>()#+!|~" else each for each in text)


_STYLE = (
    "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse;width:100%}"
    "td,th{border:1px solid #ccc;padding:.3em .5em;text-align:left;vertical-align:top}"
    ".critical,.high{color:#b00}.moderate,.low{color:#a60}.note,.accepted{color:#777}"
)


def draw_html(found: Found, results: Output) -> None:
    """Print checks as one page of HTML, which loads nothing."""
    results.line('<!doctype html><html lang="en"><meta charset="utf-8">')
    results.line(f"<title>Security check</title><style>{_STYLE}</style><h1>Security check</h1>")
    for name, one in found.items():
        results.line(f"<h2>{html.escape(name)}</h2>")
        if isinstance(one, StepError):
            results.line(f"<p>Not checked: {html.escape(clean(one.message))}</p>")
            continue
        results.line(f"<p>{html.escape(summary(one))}; {one.at:%Y-%m-%d %H:%M} UTC</p>")
        for line in _doubts(one):
            results.line(f"<p>{html.escape(line)}</p>")
        if one.findings:
            heads = "".join(f"<th>{head}</th>" for head in _HEADS)
            results.line(f"<table><tr>{heads}</tr>")
            for each in one.findings:
                cells = _cells(each, one)
                body = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
                results.line(f'<tr class="{cells[0]}">{body}</tr>')
            results.line("</table>")
    results.line("</html>")


_METRICS = (
    ("orchestrator_security_checked", "Whether the host could be checked."),
    ("orchestrator_security_checked_time_seconds", "When it was."),
    ("orchestrator_security_findings", "Findings that nobody accepted, by severity."),
)


def draw_metrics(found: Found, results: Output) -> None:
    """Print numbers for Prometheus' node exporter to pick up; no word of a host's is in them."""
    for name, help_ in _METRICS:
        results.line(f"# HELP {name} {help_}")
        results.line(f"# TYPE {name} gauge")
        for host, one in found.items():
            for labels, value in _samples(name, one):
                results.line(f'{name}{{host="{host}"{labels}}} {value}')


def _samples(name: str, one: Checked | StepError) -> Iterator[tuple[str, str]]:
    if name == "orchestrator_security_checked":
        yield "", str(int(isinstance(one, Checked)))
    elif isinstance(one, Checked) and name.endswith("_seconds"):
        yield "", f"{one.at.timestamp():.0f}"
    elif isinstance(one, Checked):
        for severity in Severity:
            count = sum(each.severity is severity and not each.accepted for each in one.findings)
            yield f',severity="{severity.value}"', str(count)
