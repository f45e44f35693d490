"""What a run's hosts answered of themselves, and which of them were found to be one machine."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.state import HostState
from orchestrator.deploy.machines import Machines


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
