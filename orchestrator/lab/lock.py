"""One command at a time changes a lab or a cache."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path


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
