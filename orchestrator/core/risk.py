"""How much can go wrong, in five levels."""

from __future__ import annotations

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
