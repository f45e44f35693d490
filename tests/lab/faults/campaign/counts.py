"""How often each fault struck in each phase, and what came of it: for the documentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.lab.faults.campaign.catalogue import FAULTS
from tests.lab.faults.campaign.plan import AT_LEAST, COLUMNS, cells
from tests.lab.faults.campaign.play import Played

BEGIN = "<!-- campaign: written by just fault-test --campaign --write -->"
END = "<!-- end of campaign -->"
_WORDS = {"new": "new", "old": "old", "untouched": "not changed", "neither": "neither"}


def counted(played: Iterable[Played]) -> list[Played]:
    """Those rounds that were played, and struck in a phase of the table."""
    return [one for one in played if not one.why_not and one.column in COLUMNS]


def lacking(played: Iterable[Played]) -> dict[tuple[str, str], int]:
    """How many rounds each cell lacks that was not struck often enough."""
    there = Counter((one.fault, one.column) for one in counted(played))
    return {cell: AT_LEAST - there[cell] for cell in cells() if there[cell] < AT_LEAST}


def table(played: Sequence[Played]) -> str:
    """The counts, as Markdown: a row a fault, a column a phase, and a sentence on the whole."""
    rounds = counted(played)
    lines = [
        _summary(rounds, played),
        "",
        f"| fault | {' | '.join(COLUMNS)} |",
        f"|---|{'---|' * len(COLUMNS)}",
    ]
    for name, fault in FAULTS.items():
        row = [_cell([r for r in rounds if (r.fault, r.column) == (name, c)]) for c in COLUMNS]
        row = [cell if fault.fits(c) else "-" for cell, c in zip(row, COLUMNS, strict=True)]
        lines.append(f"| **{name}**: {fault.words} | {' | '.join(row)} |")
    return "\n".join(lines)


def _summary(rounds: Sequence[Played], played: Sequence[Played]) -> str:
    seeds = len({one.seed for one in rounds})
    twice = sum(1 for one in rounds if one.second and not one.second.startswith("not "))
    wrong = sum(1 for one in rounds if one.wrong)
    rest = len(played) - len(rounds)
    return (
        f"{len(rounds)} rounds of {seeds} seeds, {twice} of them with a second fault; {wrong} not "
        f"as they must be. {rest} more could not be played, or struck in no phase."
    )


def _cell(rounds: Sequence[Played]) -> str:
    if not rounds:
        return "not struck"
    ends = Counter(_WORDS[one.end] for one in rounds if not one.wrong)
    words = [f"{count} {end}" for end, count in sorted(ends.items())]
    if wrong := sum(1 for one in rounds if one.wrong):
        words.append(f"**{wrong} wrong**")
    return ", ".join(words)


def write(page: Path, played: Sequence[Played]) -> None:
    """Put the table into a page, between its two markers.

    Raises:
        ValueError: The page has no such markers.
    """
    text = page.read_text()
    if BEGIN not in text or END not in text:
        raise ValueError(f"{page.name} has no markers for the campaign")
    head, _, rest = text.partition(BEGIN)
    page.write_text(f"{head}{BEGIN}\n\n{table(played)}\n\n{END}{rest.partition(END)[2]}")
