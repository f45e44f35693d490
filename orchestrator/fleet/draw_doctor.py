"""What an examination of this machine found."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.core.finding import Finding, Grade
from orchestrator.render.output import Colour, Output
from orchestrator.render.tables import Cell, Column, print_json, print_table

_COLUMNS = (Column("what"), Column(""), Column("found", flexible=True))
_GRADES = {
    Grade.GOOD: Cell("good", Colour.GOOD),
    Grade.LESS: Cell("could be better", Colour.WARN),
    Grade.BAD: Cell("missing", Colour.BAD),
}


def draw_findings(findings: Sequence[Finding], results: Output, *, as_json: bool) -> None:
    """Draw each finding, and what to do about it."""
    if as_json:
        print_json(results, [_to_json(finding) for finding in findings])
        return
    rows: list[tuple[str | Cell, ...]] = [
        (finding.what, _GRADES[finding.grade], _text(finding)) for finding in findings
    ]
    print_table(results, _COLUMNS, rows)


def _text(finding: Finding) -> str:
    return f"{finding.text} → {finding.hint}" if finding.hint else finding.text


def _to_json(finding: Finding) -> dict[str, str]:
    return {
        "what": finding.what,
        "grade": finding.grade.value,
        "found": finding.text,
        "hint": finding.hint,
    }
