"""Which specialisation of its system a host is to run."""

from __future__ import annotations

from enum import Enum
from typing import Self

from msgspec import Struct

from orchestrator.core.store import is_specialisation


class Specialise(Enum):
    """Which specialisation of its system a host is to run."""

    KEEP = "keep"
    """The one that it runs already, where the new system has it."""
    NONE = "none"
    """None: the system itself."""
    NAMED = "named"


class SpecialisePolicy(Struct, frozen=True):
    """Which specialisation of its system a host is to run; ``name`` where it is one by its name."""

    choice: Specialise = Specialise.KEEP
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``keep``, ``none`` or a specialisation's name.

        Raises:
            ValueError: It is none of these.
        """
        if text in (Specialise.KEEP.value, Specialise.NONE.value):
            return cls(Specialise(text))
        if not is_specialisation(text):
            raise ValueError(f"not a specialisation's name: {text!r}")
        return cls(Specialise.NAMED, text)

    def of(self, running: str) -> str:
        """The specialisation to run; empty for the system itself.

        Args:
            running: The one that runs; empty likewise.
        """
        return running if self.choice is Specialise.KEEP else self.name

    def __str__(self) -> str:
        return self.name or self.choice.value


KEEP = SpecialisePolicy()
