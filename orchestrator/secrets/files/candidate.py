"""A text tried in the place of ``secrets.nix``: what it imports is relative to that folder.

The file is locked by flock(2) for as long as it is tried: one that nobody has locked is what a
killed process left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from orchestrator.core.errors import StepError

_NAME = re.compile(r"\.orchestrator-[0-9a-f]{8}\.nix")


@contextlib.contextmanager
def candidate(file: Path, text: bytes) -> Iterator[Path]:
    """Write a text beside a ``secrets.nix``, for as long as it is tried.

    Raises:
        StepError: It cannot be written.
    """
    tried = file.with_name(f".orchestrator-{secrets.token_hex(4)}.nix")
    try:
        with _written(tried, text):
            yield tried
    finally:
        tried.unlink(missing_ok=True)


def _written(tried: Path, text: bytes) -> BinaryIO:
    """Write a new file; it is locked until it is closed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        opened = os.fdopen(os.open(tried, flags, 0o600), "wb")
        fcntl.flock(opened, fcntl.LOCK_EX)
        opened.write(text)
        opened.flush()
    except OSError as error:
        raise StepError(
            f"no rule can be tried in {tried.parent}: {error.strerror}",
            hint="is the disk full, or the folder another user's?",
        ) from error
    return opened


def sweep(folder: Path) -> tuple[Path, ...]:
    """Remove what killed processes left of such files, and say which.

    Args:
        folder: That of ``secrets.nix``.

    Raises:
        OSError: The folder cannot be read or written.
    """
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return tuple(path for path in sorted(found) if _remove_if_left(path))


def _remove_if_left(path: Path) -> bool:
    """Remove one that nobody has locked; a link, or another kind of file, is not ours."""
    if path.is_symlink() or not path.is_file():
        return False
    with contextlib.suppress(BlockingIOError, FileNotFoundError), path.open("rb") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
        return True
    return False
