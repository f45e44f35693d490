"""What is written down of a lab: its fleet, its hosts, and how ssh reaches them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from msgspec import Struct

from orchestrator.core import files
from orchestrator.core.errors import cause_of
from orchestrator.core.stored import DamagedError
from orchestrator.core.values import replace
from orchestrator.lab.places import LabError, LabPlaces

SUBNET = "10.77"
PREFIX = 16
DEPLOYER_ADDRESS = f"{SUBNET}.0.1"
_A_ROW = 250


class HostRecord(Struct, frozen=True):
    """One host: its number is for life, its address and port follow from it.

    Attributes:
        number: From 0.
        machine_id: As machine-id(5) has it.
        host_key: The public one.
        whole: Whether it is all NixOS, from an empty root on, and not a stand-in on Debian.
    """

    number: int
    machine_id: str
    host_key: str
    whole: bool = False

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


class LabRecord(Struct, frozen=True):
    """A lab: the fleet it belongs to, whether it should be up, its hosts.

    Attributes:
        fleet_root: The fleet's folder.
        cgroup: Of all that the lab runs.
        up: Whether it should be.
        base: The base image.
        hosts: By name.
        nixpkgs: What its hosts are built by, a flake reference or a path; empty: the stand-in.
        placeholders: Whether something stands for each of the fleet's secrets.
    """

    fleet_root: Path
    cgroup: Path
    up: bool
    base: Path
    hosts: dict[str, HostRecord]
    nixpkgs: str = ""
    placeholders: bool = False

    def with_host(self, name: str, host: HostRecord) -> LabRecord:
        """Return the record with one more host."""
        return replace(self, hosts={**self.hosts, name: host})

    def next_number(self) -> int:
        """Return the lowest number that no host has."""
        taken = {host.number for host in self.hosts.values()}
        return next(n for n in range(len(taken) + 1) if n not in taken)

    def save(self, path: Path) -> None:
        """Write the record, whole or not at all."""
        files.save(path, self)


def load(path: Path) -> LabRecord | None:
    """Read a record; ``None`` where there is none.

    Raises:
        LabError: The file is there and cannot be read.
    """
    try:
        return files.load(path.parent, path.name, LabRecord)
    except FileNotFoundError:
        return None
    except (OSError, DamagedError) as error:
        raise LabError(
            f"the lab's record {path} cannot be read: {cause_of(error)}",
            hint="remove it with: orchestrator lab down --purge",
        ) from error


def machine_id(lab_id: str, name: str) -> str:
    """Derive a host's machine-id(5): distinct for each host of each lab, and stable."""
    return hashlib.sha256(f"{lab_id}/{name}".encode()).hexdigest()[:32]


def write_ssh(places: LabPlaces, lab: LabRecord) -> None:
    """Write ``known_hosts`` (sshd(8)) and ``ssh_config`` (ssh_config(5))."""
    known = [f"{name},{host.address} {host.host_key}\n" for name, host in lab.hosts.items()]
    files.replace(places.known_hosts, "".join(known).encode(), mode=0o644)
    blocks = [f"Host {name}\n  HostName {host.address}\n" for name, host in lab.hosts.items()]
    common = (
        "Host *\n"
        "  User root\n"
        f"  IdentityFile {places.identity}\n"
        "  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {places.known_hosts}\n"
        "  GlobalKnownHostsFile /dev/null\n"
        "  StrictHostKeyChecking yes\n"
        "  BatchMode yes\n"
        "  ConnectTimeout 10\n"
    )
    files.replace(places.ssh_config, "\n".join([*blocks, common]).encode(), mode=0o644)
