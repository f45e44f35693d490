"""What a check found."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.lines import split_lines
from orchestrator.render.output import Colour, Output
from orchestrator.render.text import clean


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
