"""What can be seen of a process's system calls, whichever the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

Call = tuple[str, str]
"""``open``, ``stat`` or ``readlink``, and a path: absolute where that is known."""


class Tracer(Protocol):
    """One way to see which files below a folder a command asks for.

    The folder is named, not its place: its name is unlike any other's, as those in the Nix store.
    """

    @property
    def name(self) -> str:
        """What to call it."""

    def command(self, log: Path) -> tuple[str, ...]:
        """The words to put before the command."""

    def environment(self, log: Path, folder: str) -> Mapping[str, str]:
        """The variables to set for it."""

    def calls(self, log: Path, folder: str) -> Iterator[Call]:
        """What was seen of the folder.

        Raises:
            StepError: The log is not understood, or is not whole.
        """
