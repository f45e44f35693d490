"""What a check of the secrets found, and what an id means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from orchestrator.render.output import Colour, Output
from orchestrator.render.tables import print_json
from orchestrator.render.text import clean
from orchestrator.secrets.model.finding import SecretFinding, Severity

_COLOURS = {
    Severity.ERROR: Colour.BAD,
    Severity.WARNING: Colour.WARN,
    Severity.INFO: Colour.FAINT,
}


def draw_findings(
    findings: Sequence[SecretFinding], count: int | None, results: Output, *, as_json: bool
) -> None:
    """Draw findings, one line each, and a line of summary.

    What cannot be proved is counted and not listed: ``--json`` has it.

    Args:
        findings: The worst first.
        count: How many secrets were checked; ``None`` where their rules do not tell.
        results: Standard output.
        as_json: Whether to write a list for a script.
    """
    if as_json:
        print_json(results, [one.to_json() for one in findings])
        return
    for one in findings:
        if one.severity is not Severity.INFO:
            results.line(_line(one, results))
    results.line(f"secrets: {_summary(findings, count)}")


def _line(one: SecretFinding, output: Output) -> str:
    severity = output.paint(f"{one.severity.value}:", _COLOURS[one.severity])
    return f"{severity} {output.paint(one.id, Colour.STRONG)} {clean(one.message)}"


def _summary(findings: Sequence[SecretFinding], count: int | None) -> str:
    found = Counter(one.severity for one in findings)
    parts = [
        f"{found[severity]} {severity.value}{'s' if found[severity] > 1 else ''}"
        for severity in (Severity.ERROR, Severity.WARNING)
        if found[severity]
    ] or ["nothing is wrong"]
    if count is not None:
        parts.insert(0, f"{count} checked")
    if unproved := found[Severity.INFO]:
        parts.append(f"{unproved} not fully proved without an identity (--json lists them)")
    return ", ".join(parts)


def draw_explanation(
    name: str, severity: Severity, verifies: str, effect: str, cure: str, results: Output
) -> None:
    """Draw what a check verifies, what comes of a finding, and how to cure it."""
    results.line(f"{results.paint(name, Colour.STRONG)} ({severity.value})")
    for title, text in (("verifies", verifies), ("otherwise", effect), ("cure", cure)):
        results.line(f"  {title:<10}{text}")
