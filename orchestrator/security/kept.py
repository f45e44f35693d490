"""What is kept on this machine: what systems declare, and the last check of each host.

Both are in the fleet's state folder, below ``security/``; only its owner may read them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.core import files
from orchestrator.core.errors import cause_of
from orchestrator.core.stored import DamagedError, Time, check_times
from orchestrator.risk.kept import System, save
from orchestrator.security.model import Declared

FOLDER = "security"

_MOST = 200
"""Systems whose declarations are kept: those that were written last."""

_LARGEST = 4 << 20

_VERSION = 1


@dataclass(frozen=True, slots=True)
class _Known:
    system: System
    declared: Declared
    version: int = _VERSION


@dataclass(frozen=True, slots=True)
class LastCheck:
    """The last check of a host.

    Attributes:
        machine_id: Of the machine that was checked.
        token: The deployment that the host's record named.
        since: When each finding was seen first, by its id.
        sums: SHA-256 of files of sshd's and the guard's, by path.
    """

    machine_id: str
    at: Time
    token: str = ""
    since: Mapping[str, Time] = field(default_factory=dict)
    sums: Mapping[str, str] = field(default_factory=dict)
    version: int = _VERSION


def recall(state: Path, system: System) -> Declared | None:
    """Give what a system declares; ``None`` where that is not kept, or is damaged."""
    with contextlib.suppress(OSError, DamagedError):
        known = files.load(state / FOLDER / "systems", system.file, _Known)
        if (known.version, known.system) == (_VERSION, system):
            return known.declared
    return None


def keep(state: Path, system: System, declared: Declared) -> None:
    """Keep it; a full disk must not fail a check."""
    known = _Known(system, declared)
    save(state / FOLDER / "systems", system, known, largest=_LARGEST, most=_MOST)


def last(folder: Path, host: str, machine_id: str) -> LastCheck | None:
    """Give the last check of a host's machine; ``None`` where none is kept, or is damaged.

    Args:
        folder: The fleet's state folder, or the one in it that is its lab's.
        host: Its name.
        machine_id: Another machine's does not count.
    """
    with contextlib.suppress(OSError, DamagedError, ValueError):
        found = files.load(folder, f"{FOLDER}/{host}.json", LastCheck)
        check_times(found.at, *found.since.values())
        if (found.version, found.machine_id) == (_VERSION, machine_id):
            return found
    return None


def remember(folder: Path, host: str, check: LastCheck) -> str:
    """Keep a check for the next one to compare with.

    Returns:
        Why it is not kept; empty where it is.
    """
    place = folder / FOLDER
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.save(place / f"{host}.json", check)
    except OSError as error:
        return f"this check was not kept: {cause_of(error, named=True)}"
    return ""
