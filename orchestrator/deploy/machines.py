"""The machine that was seen under each host's name, one small file each."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.core.host import is_host_name
from orchestrator.core.preflight import Seen


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
        new = self._folder / f".{host}.{os.getpid()}.new"
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            new.write_text(f"{machine_id}\n")
            new.replace(self._folder / host)
