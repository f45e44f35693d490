"""What a change of many files wrote down before it began; one writer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from orchestrator.core import beneath
from orchestrator.core.errors import RefusedError, StepError, cause_of
from orchestrator.core.files import MOST
from orchestrator.core.stored import DamagedError, NewerError, decode, encode
from orchestrator.core.values import replace
from orchestrator.secrets.files import files
from orchestrator.secrets.files.files import is_inside
from orchestrator.secrets.model.repository import VERSION, Journal

FOLDER = ".orchestrator-secrets"
"""Beside ``secrets.nix``, for as long as a change goes on."""

_STAGED = re.compile(r"\.orchestrator-[0-9a-f]{8}-[0-9]+")
_PLAN = "plan"
_JOURNAL = "journal"
_LOOK = (
    f"look at the secrets with: git status; then remove the folder {FOLDER} "
    "and run: orchestrator secrets check"
)


def write_plan(root: Path, journal: Journal) -> None:
    """Write down what is about to be staged, before anything is.

    Raises:
        OSError: It cannot be written.
    """
    beneath.write_new(root, f"{FOLDER}/{_PLAN}", encode(replace(journal, committed=False)), 0o600)
    beneath.sync(root, FOLDER)
    beneath.sync(root, ".")


def commit_plan(root: Path) -> None:
    """Make the change true: from here on it only goes forward.

    Raises:
        OSError: The rename failed; the change is not true.
    """
    beneath.move(root, f"{FOLDER}/{_PLAN}", f"{FOLDER}/{_JOURNAL}")
    beneath.sync(root, FOLDER)


def read(root: Path) -> Journal | None:
    """Read what was begun and has not ended.

    Returns:
        ``None`` where there is nothing, or a plan that was cut off before anything was staged.

    Raises:
        StepError: A committed journal cannot be read or believed, or it is a newer version's.
    """
    for name in (_JOURNAL, _PLAN):
        if (text := _text(root, name)) is None:
            continue
        try:
            return replace(_parse(text), committed=name == _JOURNAL)
        except NewerError as error:
            raise _unusable(root, name, f"cannot be used: {error}") from error
        except DamagedError as error:
            # Nothing is staged before the whole plan is on the disk.
            if name == _JOURNAL:
                raise _unusable(root, name, f"is damaged: {error}") from error
    return None


def forget(root: Path) -> None:
    """Remove the journal: the change has ended, one way or the other.

    Raises:
        OSError: It cannot be removed.
    """
    for name in (_PLAN, _JOURNAL):
        beneath.remove(root, f"{FOLDER}/{name}")
    beneath.sync(root, FOLDER)


def _text(root: Path, name: str) -> bytes | None:
    """Read a file that a mere check reads, too, in anybody's repository."""
    try:
        content = files.read(str(root.resolve()), f"{FOLDER}/{name}", MOST)
    except files.FileReadError as error:
        raise _unusable(root, name, str(error)) from None
    if content is None or content.whole:
        return content.data if content is not None else None
    raise _unusable(root, name, f"has more than {MOST >> 20} MiB")


def _unusable(root: Path, name: str, why: str) -> StepError:
    return StepError(
        f"{root / FOLDER / name}: the journal of an interrupted change {why}. Nothing was touched",
        hint=_LOOK,
    )


def _parse(text: bytes) -> Journal:
    """Read a journal; believe none that leads elsewhere.

    Raises:
        NewerError: It is of a newer version.
        DamagedError: It is no journal of ours.
    """
    journal = decode(Journal, text, VERSION)
    for one in journal.replacements:
        staged, path = PurePosixPath(one.staged), PurePosixPath(one.path)
        if staged.parent != path.parent or not _STAGED.fullmatch(staged.name):
            # What is staged is removed: it must be a file of ours.
            raise DamagedError(f"it names {one.staged!r} as staged for {one.path!r}")
    files_of = (name for one in journal.replacements for name in (one.path, one.staged))
    for name in (*files_of, *journal.folders):
        if not is_inside(name):  # out of the repository, or into what git keeps there
            raise DamagedError(f"it names {name!r}")
    return journal


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
            f"the secrets below {root} cannot be changed: {cause_of(error, named=True)}",
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
