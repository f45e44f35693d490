"""Many equal machines of which a report says the same: one row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from orchestrator.core.outcome import Outcome
from orchestrator.core.run import Report
from orchestrator.core.store import OutPath
from orchestrator.render.output import problem_of

_TIMES = "\N{MULTIPLICATION SIGN}"
FEW = 2
"""So many members of a class are still told one by one."""


class Alike(Struct, frozen=True):
    """A row of a report.

    Attributes:
        hosts: One host, or those members of a class that ended equally.
        of: Their class; ``None`` where it is one host.
        outcome: How they ended; reasons are equal too.
        seconds: The longest that one of them took.
    """

    hosts: tuple[str, ...]
    of: str | None
    outcome: Outcome
    seconds: float

    @property
    def called(self) -> str:
        """The host, or the class."""
        return self.of or self.hosts[0]

    @property
    def reason(self) -> str:
        """Why they ended so, after how many they are and whether of one system."""
        if self.of is None:
            return self.outcome.reason
        same = "the same system: " if _system(self.outcome) is not None else ""
        return f"{len(self.hosts):,} {_TIMES} {same}{self.outcome.reason}"


def _system(outcome: Outcome) -> OutPath | None:
    return getattr(outcome, "out_path", None)


def rows(report: Report) -> Iterator[Alike]:
    """Put members of a class together that ended equally; who has a problem stands alone.

    Each row is where its first host would be.
    """
    groups: dict[object, list[str]] = {}
    for name, result in report.hosts.items():
        outcome, alone = result.outcome, result.of is None or problem_of(result.outcome)
        key = name if alone else (result.of, type(outcome), _system(outcome), outcome.reason)
        groups.setdefault(key, []).append(name)
    for names in groups.values():
        yield from _row(report, names) if len(names) > FEW else _each(report, names)


def _row(report: Report, names: Sequence[str]) -> Iterator[Alike]:
    first, longest = report.hosts[names[0]], max(report.hosts[name].seconds for name in names)
    yield Alike(tuple(names), first.of, first.outcome, longest)


def _each(report: Report, names: Sequence[str]) -> Iterator[Alike]:
    for name in names:
        result = report.hosts[name]
        yield Alike((name,), None, result.outcome, result.seconds)


def named(report: Report, names: Sequence[str]) -> str:
    """Name hosts, many members of a class by it: ``web1, 998 of kiosk``."""
    classes: dict[str, list[str]] = {}
    for name in names:
        classes.setdefault(report.hosts[name].of or f" {name}", []).append(name)
    return ", ".join(
        ", ".join(members) if len(members) <= FEW else f"{len(members):,} of {of}"
        for of, members in classes.items()
    )
