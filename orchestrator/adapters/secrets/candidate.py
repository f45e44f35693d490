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

_NAME = re.compile(r"\.orchestrator-[0-9a-f]{8}\.nix")


@contextlib.contextmanager
def candidate(file: Path, text: str) -> Iterator[Path]:
    """Write a text beside a ``secrets.nix``, for as long as it is tried.

    Raises:
        OSError: It cannot be written.
    """
    tried = file.with_name(f".orchestrator-{secrets.token_hex(4)}.nix")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with open(os.open(tried, flags, 0o600), "w") as opened:  # noqa: PTH123 (a descriptor)
            fcntl.flock(opened, fcntl.LOCK_EX)
            opened.write(text)
            opened.flush()
            yield tried
    finally:
        tried.unlink(missing_ok=True)


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
