"""A folder for a plaintext while an editor has it: in memory, and gone with this process.

Where the kernel lets us, it is a file system that nobody else sees. Else it is a folder of our own
in ``/dev/shm``, and that is said; what a killed process left there, the next one removes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.errors import UsageError
from orchestrator.core.lines import split_lines
from orchestrator.secrets.files import namespace

_PREFIX = "orchestrator-plaintext-"
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (that it is in memory is checked)
_IN_MEMORY = ("tmpfs", "ramfs")


@dataclass(frozen=True, slots=True)
class PrivateFolder:
    """Where a plaintext may lie.

    Attributes:
        path: The folder; empty.
        warnings: What a person should know of it: who else can look in, and swap.
    """

    path: Path
    warnings: tuple[str, ...] = ()


@contextlib.contextmanager
def private_folder(env: Mapping[str, str], *, shared: bool = False) -> Iterator[PrivateFolder]:
    """Have a folder in memory, for as long as the context lasts.

    This process may be in namespaces of its own afterwards; it should end soon.

    Args:
        env: The environment: ``XDG_RUNTIME_DIR``.
        shared: Whether a process that we did not start has to see it: an editor's server.

    Raises:
        UsageError: There is no file system in memory.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    base = _base(env)
    _sweep(base)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    claim = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(claim, fcntl.LOCK_EX)
        with _mounted(folder, shared) as private:
            yield private
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(claim)


@contextlib.contextmanager
def _mounted(folder: Path, shared: bool) -> Iterator[PrivateFolder]:
    if shared:
        yield PrivateFolder(
            folder, (_open_to_others(folder, "this editor asks a server"), *_swap())
        )
        return
    try:
        namespace.private_mounts()
        never_swapped = namespace.mount_memory(folder)
    except OSError as error:
        why = f"the kernel allows no private mount here: {error.strerror}"
        yield PrivateFolder(folder, (_open_to_others(folder, why), *_swap()))
        return
    try:
        yield PrivateFolder(folder, () if never_swapped else _swap())
    finally:
        namespace.unmount(folder)


def _base(env: Mapping[str, str]) -> Path:
    """Find a folder in memory, the person's own first."""
    for text in (env.get("XDG_RUNTIME_DIR"), str(_SHARED_MEMORY)):
        if text and os.access(text, os.W_OK | os.X_OK) and _file_system(Path(text)) in _IN_MEMORY:
            return Path(text)
    raise UsageError(
        "there is no file system in memory here (/dev/shm), and a plaintext goes on no disk",
        hint="give the secret on standard input instead of in an editor",
    )


def _file_system(folder: Path) -> str:
    """Say of which kind the file system of a folder is: proc_pid_mountinfo(5)."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in split_lines(Path("/proc/self/mountinfo").read_text(errors="replace")):
        mount, _, kind = line.partition(" - ")
        if mount.split()[2] == number:
            return kind.split()[0]
    return ""


def _sweep(base: Path) -> None:
    """Remove what killed processes of ours left: nobody holds its folder any more."""
    for folder in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid != os.geteuid():
                continue
            claim = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(claim)


def _open_to_others(folder: Path, why: str) -> str:
    return f"{why}: while you edit, other processes of yours can read the plaintext in {folder}"


def _swap() -> tuple[str, ...]:
    """Say where memory may be written to a disk: proc_swaps(5)."""
    with contextlib.suppress(OSError):
        if len(split_lines(Path("/proc/swaps").read_text())) > 1:
            return ("swap is on: while you edit, the plaintext may be written to it",)
    return ()
