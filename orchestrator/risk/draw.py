"""Risk, drawn: a host's terms with their evidence, and a change of them in one sentence."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core import stored
from orchestrator.core.errors import StepError
from orchestrator.core.risk import Assessment, Floor, Term
from orchestrator.render.output import Output, clean
from orchestrator.render.report import Column, error_json, print_json, print_table

_COLUMNS = (
    Column("points", right=True),
    Column("what", flexible=True),
    Column("said by"),
)


def draw_assessments(
    found: Mapping[str, Assessment | StepError], results: Output, words: Output, *, as_json: bool
) -> None:
    """Draw hosts' risks: what each is made of, and what is not known."""
    if as_json:
        print_json(results, {name: _to_json(one) for name, one in found.items()})
        return
    for name, one in found.items():
        if isinstance(one, StepError):
            words.line(f"{name}: risk not known: {clean(one.message)}")
            continue
        results.line(f"{name}: risk {one.level.value} ({one.score} points)")
        for floor in one.floors:
            results.line(f"  declared {floor_in_words(floor)}")
        print_table(results, _COLUMNS, [_row(term) for term in one.terms])


def floor_in_words(floor: Floor) -> str:
    """Say what a feature declares."""
    because = f": {clean(floor.because)}" if floor.because else ""
    return f"{floor.risk.value} by feature {floor.feature}{because}"


def _row(term: Term) -> tuple[str, str, str]:
    return (str(term.weight), term.what, term.evidence)


def _to_json(one: Assessment | StepError) -> object:
    if isinstance(one, StepError):
        return {"level": None, "error": error_json(one)}
    return stored.plain(one)
