"""Moving this process between namespaces: setns(2), unshare(2) and mount(2) through ctypes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

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
