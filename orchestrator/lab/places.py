"""Where a lab's things are, what is written down of it, its lock and namespaces."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

from orchestrator.core.errors import OrchestratorError


class LabError(OrchestratorError):
    """The lab could not do what it was asked."""


class LabRequirementError(LabError):
    """This machine lacks something that a lab needs; nothing was done."""

    exit_code: ClassVar[int] = 2


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
        # Here, since the base image is made by a Python that has nothing of ours installed.
        from orchestrator.core import files

        data = {
            "fleet_root": str(self.fleet_root),
            "cgroup": str(self.cgroup),
            "up": self.up,
            "base": str(self.base),
            "deployer": DEPLOYER_ADDRESS,
            "hosts": {n: {"address": h.address, **asdict(h)} for n, h in self.hosts.items()},
        }
        files.replace(path, f"{json.dumps(data, indent=2)}\n".encode(), mode=0o644)


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


@contextlib.contextmanager
def locked(path: Path, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock file; the kernel releases it however we end.

    Args:
        path: The lock file, made where it is missing.
        on_wait: Told once when somebody else holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _take(descriptor, path, on_wait)
            # The holder before us may have removed the file: then ours is nobody's lock.
            if _is_still(descriptor, path):
                yield
                return
        finally:
            os.close(descriptor)


def _take(descriptor: int, path: Path, on_wait: Callable[[str], None]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        on_wait(f"waiting for another command that holds {path}")
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


_CLONE_NEWNET = 0x40000000
_CLONE_NEWNS = 0x00020000
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_PRIVATE = 1 << 18


def _call(name: str, *arguments: object) -> None:
    import ctypes

    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def enter_network(pid: int) -> None:
    """Move the calling thread, and threads and processes that it starts, to a process's network."""
    with Path(f"/proc/{pid}/ns/net").open("rb") as namespace:
        _call("setns", namespace.fileno(), _CLONE_NEWNET)


@contextlib.contextmanager
def inside_network(pid: int) -> Iterator[None]:
    """Be in a process's network for a while."""
    with Path("/proc/thread-self/ns/net").open("rb") as home:
        enter_network(pid)
        try:
            yield
        finally:
            _call("setns", home.fileno(), _CLONE_NEWNET)


def private_mounts() -> None:
    """Give this process mounts of its own: what it mounts from here on nobody else sees."""
    _call("unshare", _CLONE_NEWNS)
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)


def bind(source: Path, target: Path) -> None:
    """Show a folder at another path as well."""
    _call("mount", os.fsencode(source), os.fsencode(target), None, _MS_BIND, None)
