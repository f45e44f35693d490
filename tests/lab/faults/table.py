"""The table of what came of each fault in each phase, and its place in the documentation."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from tests.lab.faults.changes import CHANGES
from tests.lab.faults.deployers import TROUBLES
from tests.lab.faults.injections import INJECTIONS
from tests.lab.faults.phases import PHASES
from tests.lab.faults.play import Result

BEGIN = "<!-- faults: written by just fault-test --write -->"
END = "<!-- end of faults -->"
_ENDS = {"new": "new", "old": "old", "untouched": "not changed"}


def table(results: Iterable[Result]) -> str:
    """The results, as Markdown: a row a fault, a column a phase; then what comes in one phase."""
    found = {(result.fault, result.phase): result for result in results}
    lines = [
        f"| fault | {' | '.join(PHASES)} |",
        f"|---|{'---|' * len(PHASES)}",
    ]
    for name, injection in INJECTIONS.items():
        cells = [_cell(found.get((name, phase))) for phase in PHASES]
        lines.append(f"| **{name}**: {injection.words} | {' | '.join(cells)} |")
    lines += ["", "| fault | met in | result |", "|---|---|---|"]
    for one in (*CHANGES.values(), *TROUBLES.values()):
        cell = _cell(found.get((one.name, one.phase)))
        lines.append(f"| **{one.name}**: {one.words} | {one.phase} | {cell} |")
    return "\n".join(lines)


def _cell(result: Result | None) -> str:
    if result is None:
        return "not tested"
    if result.wrong:
        return "**fails**"
    later = "" if result.told == "this run" else " ¹"
    return f"{_ENDS[result.end]}{later}"


def write(page: Path, results: Iterable[Result]) -> None:
    """Put the table into a page, between its two markers."""
    head, _, rest = page.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    page.write_text(f"{head}{BEGIN}\n\n{table(results)}\n\n{END}{tail}")


def kept(file: Path) -> list[Result]:
    """The results in a file; none where it is not there."""
    if not file.exists():
        return []
    return [
        Result(**{**fields, "wrong": tuple(fields["wrong"])})
        for fields in json.loads(file.read_text())
    ]


def keep(file: Path, result: Result) -> None:
    """Add a result to those in a file, in the place of an older one of the same case."""
    others = [
        each for each in kept(file) if (each.fault, each.phase) != (result.fault, result.phase)
    ]
    file.write_text(json.dumps([asdict(each) for each in (*others, result)], indent=1))
