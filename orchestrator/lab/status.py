"""What a lab looks like at one moment."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HostStatus:
    """One host. ``state`` is off, up, frozen, or silent (it runs and no SSH server answers)."""

    name: str
    address: str
    machine_id: str
    state: str


@dataclass(frozen=True, slots=True)
class LabStatus:
    """One lab."""

    id: str
    folder: Path
    up: bool
    hosts: list[HostStatus]

    def to_json(self) -> dict[str, object]:
        """Return what ``orchestrator lab status --json`` prints."""
        return {
            "id": self.id,
            "folder": str(self.folder),
            "up": self.up,
            "hosts": {host.name: asdict(host) for host in self.hosts},
        }
