"""What is known of a machine, and where each part of it was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known of a machine, or is known not to be known.

    Attributes:
        value: What JSON has; ``None`` where it is unknown.
        source: Where it was read, such as ``/proc/meminfo``, ``lsblk`` or ``inventory``; of what is
            unknown, why.
    """

    value: Any
    source: str


UNKNOWN = Fact(None, "not asked")


@dataclass(frozen=True, slots=True)
class Facts:
    """What one machine said of itself at one time.

    Attributes:
        machine_id: The content of its ``/etc/machine-id``; empty where it has none.
        at: When it was asked, by the asking machine's clock.
        facts: By their dotted keys, such as ``memory.installed``.
    """

    machine_id: str
    at: datetime
    facts: Mapping[str, Fact] = field(default_factory=dict)

    def fact(self, key: str) -> Fact:
        """A fact by its key; unknown where nobody asked for it."""
        return self.facts.get(key, UNKNOWN)

    def value(self, key: str) -> Any:
        """A fact's value; ``None`` where it is unknown."""
        return self.fact(key).value
