"""The file ``lab.json``: what a lab is. What runs is asked of the kernel, never of this file."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from orchestrator.lab.errors import LabError

SUBNET = "10.77"
PREFIX = 16
DEPLOYER_ADDRESS = f"{SUBNET}.0.1"
_A_ROW = 250


@dataclass(frozen=True, slots=True)
class HostRecord:
    """One host: its number is for life, its address and port follow from it."""

    number: int
    machine_id: str
    host_key: str

    @property
    def address(self) -> str:
        """IPv4 address in the lab's own network."""
        return f"{SUBNET}.{self.number // _A_ROW}.{self.number % _A_ROW + 2}"

    @property
    def mac(self) -> str:
        """Link address, a locally administered one made of the IPv4 address."""
        return "02:00:" + ":".join(f"{int(part):02x}" for part in self.address.split("."))

    @property
    def port(self) -> str:
        """Name of the host's port on the bridge; the kernel allows 15 characters."""
        return f"port{self.number}"


@dataclass(frozen=True, slots=True)
class LabRecord:
    """A lab: the fleet it belongs to, whether it should be up, its hosts."""

    fleet_root: Path
    cgroup: Path
    up: bool
    base: Path
    hosts: dict[str, HostRecord]

    def with_host(self, name: str, host: HostRecord) -> LabRecord:
        """Return the record with one more host."""
        return replace(self, hosts={**self.hosts, name: host})

    def next_number(self) -> int:
        """Return the lowest number that no host has."""
        taken = {host.number for host in self.hosts.values()}
        return next(n for n in range(len(taken) + 1) if n not in taken)

    def save(self, path: Path) -> None:
        """Write the record, whole or not at all."""
        data = {
            "fleet_root": str(self.fleet_root),
            "cgroup": str(self.cgroup),
            "up": self.up,
            "base": str(self.base),
            "deployer": DEPLOYER_ADDRESS,
            "hosts": {n: {"address": h.address, **asdict(h)} for n, h in self.hosts.items()},
        }
        write_atomically(path, json.dumps(data, indent=2) + "\n")


def load(path: Path) -> LabRecord | None:
    """Read a record; ``None`` where there is none.

    Raises:
        LabError: The file is there and cannot be read.
    """
    try:
        data = json.loads(path.read_text())
        hosts = {
            name: HostRecord(host["number"], host["machine_id"], host["host_key"])
            for name, host in data["hosts"].items()
        }
        return LabRecord(
            fleet_root=Path(data["fleet_root"]),
            cgroup=Path(data["cgroup"]),
            up=data["up"],
            base=Path(data["base"]),
            hosts=hosts,
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError(
            f"the lab's record {path} cannot be read: {error}",
            hint="remove it with: orchestrator lab down --purge",
        ) from error


def machine_id(lab_id: str, name: str) -> str:
    """Derive a host's machine-id(5): distinct for each host of each lab, and stable."""
    return hashlib.sha256(f"{lab_id}/{name}".encode()).hexdigest()[:32]


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file so that a reader sees the old or the new text, and nothing between."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.touch(mode)
    temporary.write_text(text)
    temporary.replace(path)
