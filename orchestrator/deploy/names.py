"""Which machine answered as which host."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.core import files
from orchestrator.core.checks import Seen
from orchestrator.core.host import is_host_name
from orchestrator.core.state import HostState


class Machines:
    """What is remembered in one fleet's state folder. A file that is damaged says nothing.

    Args:
        folder: Made where it is missing; a host's file has its machine-id, and its time says when
            that was seen last.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def seen(self, host: str) -> Seen | None:
        """The machine that answered under a host's name last."""
        file = self._folder / host
        try:
            machine_id = file.read_text().strip()
            at = datetime.fromtimestamp(file.stat().st_mtime, UTC)
        except (OSError, ValueError, OverflowError):
            return None
        return Seen(machine_id, at) if machine_id.isalnum() else None  # a power cut leaves NULs

    def by_id(self) -> dict[str, tuple[str, ...]]:
        """The names under which each machine-id was seen."""
        found: dict[str, tuple[str, ...]] = {}
        names: list[str] = []
        with contextlib.suppress(OSError):
            names = sorted(file.name for file in self._folder.iterdir() if is_host_name(file.name))
        for name in names:
            if (seen := self.seen(name)) is not None:
                found[seen.machine_id] = (*found.get(seen.machine_id, ()), name)
        return found

    def remember(self, host: str, machine_id: str) -> None:
        """Take down which machine answers; where that cannot be written, nothing is known later."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            files.replace(self._folder / host, f"{machine_id}\n".encode())


class Names:
    """The names of one run, held against each other."""

    def __init__(self) -> None:
        self._ids: dict[str, tuple[str, str]] = {}
        self._same: dict[str, str] = {}
        self._apart: set[frozenset[str]] = set()
        self._remembered: Mapping[str, tuple[str, ...]] | None = None

    def answered(self, name: str, state: HostState) -> None:
        """Take down by which ids a host is known to itself."""
        self._ids[name] = (state.machine_id, state.boot_id)

    def twins(self, name: str) -> tuple[str, ...]:
        """The hosts that answered with the same ids, and were not found to be two."""
        mine = self._ids.get(name)
        return tuple(
            other
            for other, ids in self._ids.items()
            if ids == mine and other != name and frozenset((name, other)) not in self._apart
        )

    def known_as(self, name: str, machines: Machines) -> tuple[str, ...]:
        """The other names under which a machine with a host's machine-id was seen from here."""
        if self._remembered is None:
            self._remembered = machines.by_id()
        found = self._remembered.get(self._ids[name][0], ())
        return tuple(n for n in found if n != name and frozenset((name, n)) not in self._apart)

    def apart(self, name: str, other: str) -> None:
        """Take down that two names lead to two machines."""
        self._apart.add(frozenset((name, other)))

    def same(self, name: str, other: str) -> None:
        """Take down that two names lead to one machine."""
        self._same |= {name: other, other: name}

    def one_with(self, name: str) -> str:
        """The name that leads to the same machine as this one; empty where none was found."""
        return self._same.get(name, "")
