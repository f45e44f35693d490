"""What was measured of the ways to hosts, kept between runs in a small JSON file."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.model.copying import CopyMethod, Sample

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

    def of(self, host: str) -> tuple[Sample, ...]:
        """What was measured of a host's link, oldest first."""
        with contextlib.suppress(KeyError, TypeError, ValueError):
            return tuple(_sample(entry) for entry in self._hosts()[host])
        return ()

    def add(self, host: str, sample: Sample) -> None:
        """Keep a sample; where it cannot be written, it is not known next time."""
        samples = [*self.of(host), sample][-KEPT:]
        hosts = {**self._hosts(), host: [_entry(one) for one in samples]}
        new = self._file.with_suffix(f".{os.getpid()}.new")
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            new.write_text(json.dumps({"version": _VERSION, "hosts": hosts}))
            new.replace(self._file)

    def _hosts(self) -> dict[str, Any]:
        try:
            found = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(found, dict) or found.get("version") != _VERSION:
            return {}
        hosts = found.get("hosts")
        return hosts if isinstance(hosts, dict) else {}


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
