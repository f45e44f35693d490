"""Where labs and their caches live on this machine."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path


def _directory(variable: str, xdg: str, fallback: str, leaf: str) -> Path:
    if explicit := os.environ.get(variable):
        return Path(explicit).absolute()
    base = os.environ.get(xdg) or Path.home() / fallback
    return Path(base) / "orchestrator" / leaf


def labs_directory() -> Path:
    """Return the folder of all labs (``ORCHESTRATOR_LAB_HOME`` overrides it)."""
    return _directory("ORCHESTRATOR_LAB_HOME", "XDG_STATE_HOME", ".local/state", "labs")


def cache_directory() -> Path:
    """Return the folder of what labs share (``ORCHESTRATOR_CACHE`` overrides it)."""
    return _directory("ORCHESTRATOR_CACHE", "XDG_CACHE_HOME", ".cache", "")


def package_data(name: str) -> Path:
    """Return a data file or folder of this package."""
    return Path(__file__).parent / name


@dataclass(frozen=True, slots=True)
class LabPlaces:
    """The paths of one lab: all that it makes is in ``root``, but for ``lock`` beside it."""

    id: str
    root: Path

    @classmethod
    def of(cls, fleet_root: Path) -> LabPlaces:
        """Return the places of the lab that belongs to a fleet's folder."""
        key = hashlib.sha256(str(fleet_root.resolve()).encode()).hexdigest()[:8]
        return cls(key, labs_directory() / key)

    @property
    def record(self) -> Path:
        """What the lab is: its fleet and its hosts."""
        return self.root / "lab.json"

    @property
    def lock(self) -> Path:
        """Held while a command changes the lab."""
        return self.root.with_name(f"{self.id}.lock")

    @property
    def ssh_config(self) -> Path:
        """For ``ssh -F``."""
        return self.root / "ssh_config"

    @property
    def known_hosts(self) -> Path:
        """Every host's key, by name and by address."""
        return self.root / "known_hosts"

    @property
    def identity(self) -> Path:
        """The private key that ``root`` and ``deploy`` accept on every host."""
        return self.root / "id_ed25519"

    @property
    def nixpkgs(self) -> Path:
        """The stand-in for nixpkgs, for ``--override-input nixpkgs path:…``."""
        return self.root / "nixpkgs"

    def host(self, name: str) -> Path:
        """Return the folder of a host."""
        return self.root / "hosts" / name
