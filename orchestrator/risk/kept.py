"""What systems' configurations say, by the system: also of those that ran before."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.core import files
from orchestrator.core.risk import Floor
from orchestrator.core.store import OutPath
from orchestrator.core.stored import DamagedError, encode
from orchestrator.risk.model import Surface

FOLDER = "risk"
"""In the fleet's state folder."""

MOST = 400
"""Systems that are kept: those that were asked for last. One takes about 10 KiB."""

LARGEST = 2 << 20
"""Bytes of one system's; what is larger is evaluated again."""

_VERSION = 2


@dataclass(frozen=True, slots=True)
class System:
    """What a host runs, or is to run: a system, or a specialisation of it by its name."""

    out: OutPath
    specialisation: str = ""

    @property
    def file(self) -> str:
        """Where it is kept."""
        digest = self.out.path.removeprefix("/nix/store/")[:32]
        return f"{digest}{self.specialisation and '-' + self.specialisation}.json"


@dataclass(frozen=True, slots=True)
class Kept:
    """A system's surface, and what the features of its host declared then."""

    system: System
    surface: Surface
    floors: tuple[Floor, ...] = ()
    version: int = _VERSION


def recall(state: Path, system: System) -> Kept | None:
    """Give what was kept of a system; ``None`` where nothing was, or what was is damaged.

    Args:
        state: The fleet's state folder.
        system: Which.
    """
    with contextlib.suppress(OSError, DamagedError):
        kept = files.load(state / FOLDER, system.file, Kept)
        if (kept.version, kept.system) == (_VERSION, system):
            os.utime(state / FOLDER / system.file)  # It was asked for: others go first.
            return kept
    return None


def keep(state: Path, kept: Kept) -> None:
    """Keep it, as a whole or not at all; a full disk must not fail a deployment."""
    save(state / FOLDER, kept.system, kept, largest=LARGEST, most=MOST)


def save(folder: Path, system: System, kept: Any, *, largest: int, most: int) -> None:
    """Keep something of a system in a folder, where there is room, and it is not too large.

    Args:
        folder: Made where it is missing.
        system: Which.
        kept: What is kept of it.
        largest: Bytes; what is larger is not kept.
        most: How many systems' stay: those that were written or asked for last.
    """
    if len(encode(kept)) > largest:
        return
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.save(folder / system.file, kept)
        _prune(folder, most)


def _prune(folder: Path, most: int) -> None:
    """Remove all of a folder's ``.json`` files but those that were written or asked for last."""
    with os.scandir(folder) as found:
        entries = [one for one in found if one.name.endswith(".json")]
    if len(entries) <= most:
        return
    for one in sorted(entries, key=lambda one: one.stat().st_mtime_ns)[:-most]:
        with contextlib.suppress(FileNotFoundError):
            Path(one.path).unlink()
