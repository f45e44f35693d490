"""How much can go wrong, in five levels, and what that is made of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from enum import Enum
from functools import total_ordering

from msgspec import Struct


@total_ordering
class Level(Enum):
    """Words of which each is more than those before it."""

    @property
    def rank(self) -> int:
        """Its place in the order; 0 is the least."""
        return list(type(self)).index(self)

    def __lt__(self, other: object) -> bool:
        return self.rank < other.rank if isinstance(other, type(self)) else NotImplemented


class Risk(Level):
    """The levels, in their order."""

    MINIMAL = "minimal"
    LOW = "low"
    MODERATE = "moderate"
    HIGH = "high"
    CRITICAL = "critical"


class Term(Struct, frozen=True):
    """One thing that a configuration does, and what it adds to its host's risk.

    Attributes:
        id: Names it, whatever its weight: ``port:tcp:8096``.
        what: What it is, as the end of a sentence about the host: ``opens 8096/tcp to everybody``.
        weight: Points, from 0 on; ``docs/risk.md`` has each with its reason.
        evidence: The option that says so.
        known: Whether it was read; else it stands for what could not be.
    """

    id: str
    what: str
    weight: int
    evidence: str
    known: bool = True


class Floor(Struct, frozen=True):
    """A level that a feature declares: the risk is never told to be less.

    Attributes:
        feature: The feature.
        risk: The level.
        because: Its reason; empty where none is given.
    """

    feature: str
    risk: Risk
    because: str = ""


class Assessment(Struct, frozen=True):
    """The risk of one system.

    Attributes:
        terms: What it is made of, the heaviest first.
        floors: What features declare, the highest first.
        score: The sum of the weights.
        level: What follows from the score and the floors.
    """

    terms: tuple[Term, ...]
    floors: tuple[Floor, ...]
    score: int
    level: Risk


class Acceptance(Struct, frozen=True):
    """A person's word that a host may be at more risk than its policy has it, for a while.

    Attributes:
        level: How much is accepted.
        reason: Why.
        until: The last day on which it counts, by UTC.
    """

    level: Risk
    reason: str
    until: date


class AcceptedFinding(Struct, frozen=True):
    """A person's word that something which nobody declared may be on a host, for a while.

    Attributes:
        finding: Which finding of a security check, by its id; ``*`` and ``?`` stand for others.
        reason: Why.
        until: The last day on which it counts, by UTC.
    """

    finding: str
    reason: str
    until: date


class RiskChange(Struct, frozen=True):
    """How a deployment would change a host's risk; of many terms the heaviest.

    Attributes:
        after: The level of what would run.
        points: Its score.
        before: The level of what runs; ``None`` where it is not known from here.
        points_before: Its score; likewise.
        raised: Terms that come, and those that weigh more; where ``before`` is not known, all.
        lowered: Terms that go, and those that weigh less.
        floors: What features declare and what makes the level more than the score does.
        more: How many terms were raised besides.
    """

    after: Risk
    points: int
    before: Risk | None = None
    points_before: int | None = None
    raised: tuple[Term, ...] = ()
    lowered: tuple[Term, ...] = ()
    floors: tuple[Floor, ...] = ()
    more: int = 0

    def __str__(self) -> str:
        return f"risk {self.sentence}"

    @property
    def sentence(self) -> str:
        """Levels, what comes with the heaviest first, what goes: ``low → high: opens …``."""
        tail = ""
        if self.before is None:
            head, tail = self.after.value, "; the risk of what runs is not known from here"
        elif self.before is self.after:
            head = f"{self.after.value}, as before"
        else:
            head = f"{self.before.value} → {self.after.value}"
        declared = [f"feature {one.feature} is declared {one.risk.value}" for one in self.floors]
        said = enumerated([*declared, *(one.what for one in self.raised)], self.more)
        gone = enumerated([one.what for one in self.lowered])
        return (f"{head}: {said}" if said else head) + (f"; no more: {gone}" if gone else "") + tail


_NAMED = 5
"""How many terms a sentence names."""


def enumerated(words: Sequence[str], others: int = 0) -> str:
    """Name the first of several things, and say how many there are besides."""
    more = max(len(words) - _NAMED, 0) + others
    return ", ".join(words[:_NAMED]) + (f", and {more} more" if more > 0 else "")
