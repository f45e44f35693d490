"""Who has hosts evaluated, and is told how far that is."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Protocol

from msgspec import Struct

from orchestrator.core.event import Phase
from orchestrator.core.host import Host


class Asker(Protocol):
    """A host's share of a run, or whoever else asks."""

    @property
    def host(self) -> Host:
        """The host."""

    def step(self, phase: Phase, /) -> AbstractContextManager[None]:
        """Enter a phase."""

    def doing(self, text: str) -> None:
        """Show what is being done."""

    def notice(self, text: str, *, warning: bool = False) -> None:
        """Tell a person."""

    def on_nix_line(self, line: bytes) -> None:
        """Take a line of Nix's."""


class Quiet(Struct, frozen=True):
    """Wants a host evaluated, and nothing told but the result."""

    host: Host

    def step(self, _phase: Phase, /) -> AbstractContextManager[None]:
        """Enter no phase."""
        return contextlib.nullcontext()

    def doing(self, text: str) -> None:
        """Show nothing."""

    def notice(self, text: str, *, warning: bool = False) -> None:
        """Tell nobody."""

    def on_nix_line(self, line: bytes) -> None:
        """Drop it: an error has all that Nix said."""
