"""What checks and ``doctor`` found, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.core.checks import Finding, Grade
from orchestrator.core.foreign import split_lines
from orchestrator.render.output import Colour, Output, clean
from orchestrator.render.tables import Cell, Column, print_json, print_table


def draw_mistakes(what: str, found: Mapping[str, str | None], output: Output) -> int:
    """Draw what failed and a line of summary; give the number of failures.

    Args:
        what: What was checked, such as ``syntax``.
        found: Thing → its error, or ``None`` where it is right.
        output: Where to.
    """
    wrong = {name: error for name, error in found.items() if error is not None}
    for name, error in wrong.items():
        first, *rest = split_lines(error) or [""]
        output.line(f"{output.paint('error:', Colour.BAD)} {clean(name)}: {clean(first)}")
        for line in rest[-20:]:
            output.line(output.paint("  | ", Colour.FAINT) + clean(line))
    verdict = f"{len(wrong)} of {len(found)} wrong" if wrong else f"all {len(found)} right"
    output.line(f"{what}: {verdict}")
    return len(wrong)


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
