"""What became of secrets that were encrypted anew, or of a change that was interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from orchestrator.render.output import Colour, Output
from orchestrator.render.tables import print_json
from orchestrator.render.text import clean
from orchestrator.secrets.model.journal import Journal


class Rekeyed(Protocol):
    """What became of secrets that were looked at, by their paths."""

    @property
    def done(self) -> Sequence[str]:
        """Encrypted anew."""

    @property
    def right(self) -> Sequence[str]:
        """Left alone."""

    @property
    def absent(self) -> Sequence[str]:
        """Not there."""

    @property
    def damaged(self) -> Sequence[str]:
        """Not readable."""


def draw_rekeyed(found: Rekeyed, results: Output, words: Output, *, as_json: bool) -> None:
    """Name each secret that was encrypted anew, and say what became of the others."""
    if as_json:
        lists = ("done", "right", "absent", "damaged")
        print_json(results, {name: list(getattr(found, name)) for name in lists})
        return
    for path in found.done:
        results.line(clean(path))
    counts = f"{len(found.done)} encrypted anew, {len(found.right)} left alone: they are right"
    words.line(counts)
    for path in found.absent:
        words.line(clean(f"{path} has a rule and is not there"))
    for path in found.damaged:
        bad = words.paint("damaged:", Colour.BAD)
        words.line(f"{bad} {clean(path)}; what is wrong: orchestrator secrets check")


def draw_recovered(
    journal: Journal | None, left: Sequence[str], results: Output, words: Output, *, as_json: bool
) -> None:
    """Say how an interrupted change ended, and what else was left of one and is removed."""
    for path in left:
        words.line(f"removed what a killed create had left: {clean(path)}")
    if as_json:
        print_json(results, _to_json(journal))
    elif journal is None and not left:
        words.line("nothing was interrupted")
    elif journal is not None:
        end = "was carried out" if journal.committed else "was taken back"
        words.line(f"the interrupted {clean(journal.what)} {end}:")
        for one in journal.replacements:
            results.line(clean(one.path))


def _to_json(journal: Journal | None) -> object:
    if journal is None:
        return None
    paths = [one.path for one in journal.replacements]
    return {"what": journal.what, "carried_out": journal.committed, "paths": paths}
