"""How fast links were, and what the copies of a run share."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.core import files
from orchestrator.core.run import Sample
from orchestrator.core.stored import DamagedError

if TYPE_CHECKING:
    from orchestrator.deploy.copy.spool import Codec, Spool

KEPT = 8
"""Samples kept for each host, the newest."""
_VERSION = 2


@dataclass(frozen=True, slots=True)
class _Kept:
    hosts: Mapping[str, tuple[Sample, ...]]
    version: int = _VERSION


class Links:
    """One fleet's samples. A file that is missing or damaged only means that nothing is known.

    Args:
        file: The JSON file; it and its folder are made where they are missing.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, tuple[Sample, ...]] = {}
        self._changed: set[str] = set()

    def of(self, host: str) -> tuple[Sample, ...]:
        """What was measured of a host's link, oldest first."""
        if not self._known:
            self._known = self._read()
        return self._known.get(host, ())

    def add(self, host: str, sample: Sample) -> None:
        """Take a sample in; :meth:`save` keeps it for other runs."""
        self._known[host] = (*self.of(host), sample)[-KEPT:]
        self._changed.add(host)

    def save(self) -> None:
        """Keep what was added; where it cannot be written, it is not known next time."""
        if not self._changed:
            return
        # Another run may have added to other hosts since.
        hosts = self._read() | {host: self._known[host] for host in self._changed}
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            files.save(self._file, _Kept(hosts))
        self._changed.clear()

    def _read(self) -> dict[str, tuple[Sample, ...]]:
        with contextlib.suppress(OSError, DamagedError):
            found = files.load(self._file.parent, self._file.name, _Kept)
            return dict(found.hosts) if found.version == _VERSION else {}
        return {}


class Copies:
    """One run's. Close it when all hosts have come to their end.

    Attributes:
        links: What was measured of the ways to hosts.
    """

    def __init__(self, state: Path) -> None:
        self.links = Links(state / "links.json")
        self._state = state
        self._spools: dict[Codec, Spool] = {}

    def spool(self, codec: Codec) -> Spool:
        """What is sent compressed, whatever host it is for."""
        from orchestrator.deploy.copy.spool import Spool

        if codec not in self._spools:
            self._spools[codec] = Spool(self._state, codec)
        return self._spools[codec]

    async def close(self) -> None:
        """Keep what was measured, and give the disk's room back."""
        self.links.save()
        for spool in self._spools.values():
            await spool.close()
