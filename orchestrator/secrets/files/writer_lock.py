"""One writer at a time, by flock(2) on a file that is there only while somebody writes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.core import beneath
from orchestrator.core.errors import RefusedError, StepError
from orchestrator.secrets.files.journal import FOLDER

WAIT = 10.0
"""Seconds to wait for another writer: a change of a thousand files takes one."""

_LOCK = f"{FOLDER}/lock"
_PAUSE = 0.02


@contextlib.contextmanager
def exclusive(root: Path, wait: float) -> Iterator[None]:
    """Hold the lock of a repository's secrets; the kernel lets go of it when a process ends.

    Args:
        root: The folder of ``secrets.nix``.
        wait: Seconds to wait for another writer.

    Raises:
        RefusedError: Another one holds it for longer.
        StepError: The folder cannot be written.
    """
    try:
        descriptor = _acquire(root, time.monotonic() + wait)
    except OSError as error:
        raise StepError(
            f"the secrets below {root} cannot be changed: {error.strerror} ({error.filename})",
            hint="is the disk full, or the folder another user's?",
        ) from error
    try:
        yield
    finally:
        # First the name, then the lock: who waited for it sees that the name is gone or another's.
        with contextlib.suppress(OSError):
            beneath.remove(root, _LOCK)
            beneath.remove_folder(root, FOLDER)
        os.close(descriptor)


def wait_for_writer(root: Path) -> None:
    """Wait until a writer that is at it has ended, for as long as a writer would."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        try:
            with os.fdopen(beneath.open_file(root, _LOCK), "rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return
        except BlockingIOError:
            time.sleep(_PAUSE)
        except OSError:
            return


def _acquire(root: Path, end: float) -> int:
    while True:
        beneath.make_folder(root, FOLDER, 0o700)
        if (root / FOLDER).is_symlink():
            raise StepError(f"{root / FOLDER} is a symbolic link; remove it")
        with contextlib.suppress(FileNotFoundError):
            descriptor = _open_locked(root)
            if descriptor is not None:
                return descriptor
        if time.monotonic() > end:
            raise RefusedError(
                "another `orchestrator secrets` is changing files here; nothing was changed",
                hint="wait until it has ended, then do it again",
            )
        time.sleep(_PAUSE)


def _open_locked(root: Path) -> int | None:
    """Open the lock's file and lock it; ``None`` where another has it, or took its name away."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with beneath.parent(root, _LOCK) as (folder, name):
        descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with beneath.parent(root, _LOCK) as (folder, name):
            there = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if os.path.samestat(os.fstat(descriptor), there):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
