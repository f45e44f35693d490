"""How fast links were, and what the copies of a run share."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.core.foreign import parse_json
from orchestrator.core.run import CopyMethod, Sample

if TYPE_CHECKING:
    from orchestrator.deploy.copy.spool import Codec, Spool

KEPT = 8
"""Samples kept for each host, the newest."""
_VERSION = 1


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
        entries = {host: [_entry(one) for one in samples] for host, samples in hosts.items()}
        new = self._file.with_suffix(f".{os.getpid()}.new")
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            new.write_text(json.dumps({"version": _VERSION, "hosts": entries}))
            new.replace(self._file)
        self._changed.clear()

    def _read(self) -> dict[str, tuple[Sample, ...]]:
        try:
            found = parse_json(self._file.read_text())
            if found["version"] != _VERSION:
                return {}
            return {
                host: tuple(_sample(entry) for entry in entries)
                for host, entries in found["hosts"].items()
            }
        except (OSError, AttributeError, KeyError, TypeError, ValueError, OverflowError):
            return {}


def _entry(sample: Sample) -> dict[str, object]:
    return {
        "at": sample.at.astimezone(UTC).isoformat(),
        "method": sample.method.value if sample.method else None,
        "size": sample.size,
        "sent": sample.sent,
        "seconds": sample.seconds,
        "round_trip": sample.round_trip,
    }


def _sample(entry: dict[str, Any]) -> Sample:
    method = entry["method"]
    return Sample(
        datetime.fromisoformat(entry["at"]).astimezone(UTC),
        CopyMethod(method) if method else None,
        int(entry["size"]),
        int(entry["sent"]),
        float(entry["seconds"]),
        float(entry["round_trip"]),
    )


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
