"""What checks and ``doctor`` found, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.checks import Finding, Grade
from orchestrator.core.foreign import split_lines
from orchestrator.render.output import Colour, Output, clean
from orchestrator.render.tables import Cell, Column, print_json, print_table
from orchestrator.secrets.check import SecretCheck
from orchestrator.secrets.draw import draw_findings as draw_secrets


@dataclass(frozen=True, slots=True)
class Checked:
    """What one check found.

    Attributes:
        what: What was checked, such as ``syntax``.
        found: Thing → its error, or ``None`` where it is right.
        secrets: What was found of secrets, for that check.
    """

    what: str
    found: Mapping[str, str | None]
    secrets: SecretCheck | None = None

    @property
    def wrong(self) -> Mapping[str, str]:
        """Thing → its error."""
        return {name: error for name, error in self.found.items() if error is not None}

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong and not (self.secrets and self.secrets.failed)


def draw_checks(checked: Sequence[Checked], output: Output, *, as_json: bool) -> None:
    """Draw what failed, and a line of summary for each check."""
    if as_json:
        checks = {one.what: _check_json(one) for one in checked}
        print_json(output, {"ok": all(one.is_right for one in checked), "checks": checks})
        return
    for one in checked:
        if one.secrets is not None:
            draw_secrets(one.secrets.findings, one.secrets.count, output, as_json=False)
        else:
            _draw_mistakes(one, output)


def _check_json(one: Checked) -> Mapping[str, object]:
    if one.secrets is not None:
        findings = [finding.to_json() for finding in one.secrets.findings]
        return {"ok": one.is_right, "findings": findings}
    return {"ok": one.is_right, "checked": len(one.found), "errors": one.wrong}


def _draw_mistakes(one: Checked, output: Output) -> None:
    for name, error in one.wrong.items():
        first, *rest = split_lines(error) or [""]
        output.line(f"{output.paint('error:', Colour.BAD)} {clean(name)}: {clean(first)}")
        for line in rest[-20:]:
            output.line(output.paint("  | ", Colour.FAINT) + clean(line))
    verdict = f"{len(one.wrong)} of {len(one.found)} wrong" if one.wrong else "no mistakes"
    output.line(f"{one.what}: {len(one.found)} checked, {verdict}")


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
