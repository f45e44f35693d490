"""How much can go wrong, in five levels, and what that is made of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import total_ordering


@total_ordering
class Risk(Enum):
    """The levels, in their order."""

    MINIMAL = "minimal"
    LOW = "low"
    MODERATE = "moderate"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Its place in the order; 0 is the least."""
        return list(Risk).index(self)

    def __lt__(self, other: object) -> bool:
        return self.rank < other.rank if isinstance(other, Risk) else NotImplemented


@dataclass(frozen=True, slots=True)
class Term:
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


@dataclass(frozen=True, slots=True)
class Floor:
    """A level that a feature declares: the risk is never told to be less.

    Attributes:
        feature: The feature.
        risk: The level.
        because: Its reason; empty where none is given.
    """

    feature: str
    risk: Risk
    because: str = ""


@dataclass(frozen=True, slots=True)
class Assessment:
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


@dataclass(frozen=True, slots=True)
class RiskChange:
    """How a deployment changes a host's risk.

    Attributes:
        after: The risk of what would run.
        before: Of what runs; ``None`` where it is not known from here.
        raised: Terms that come, and those that weigh more; without ``before`` there are none.
        lowered: Terms that go, and those that weigh less.
    """

    after: Assessment
    before: Assessment | None = None
    raised: tuple[Term, ...] = ()
    lowered: tuple[Term, ...] = ()
