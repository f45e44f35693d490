"""Where a lab's things are, its lock and namespaces."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from orchestrator.core.errors import OrchestratorError
from orchestrator.core.machine import home


class LabError(OrchestratorError):
    """The lab could not do what it was asked."""


class LabRequirementError(LabError):
    """This machine lacks something that a lab needs; nothing was done."""

    exit_code: ClassVar[int] = 2


def _directory(variable: str, xdg: str, fallback: str, leaf: str) -> Path:
    if explicit := os.environ.get(variable):
        return Path(explicit).absolute()
    base = os.environ.get(xdg) or home() / fallback
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
