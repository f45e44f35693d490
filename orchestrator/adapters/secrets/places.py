"""Where a secret's file is: within the repository, no symbolic link, and what it holds now."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orchestrator.errors import UsageError


@dataclass(frozen=True, slots=True)
class Place:
    """A file that is there, or may be made.

    Attributes:
        path: Relative to the root.
        file: In the file system.
        missing_folders: Those above it that are not there, the outermost first; relative.
    """

    path: str
    file: Path
    missing_folders: tuple[str, ...]

    def beside(self, name: str) -> str:
        """The path, relative to the root, of a file in the same folder."""
        return str(PurePosixPath(self.path).parent / name)


def place(root: Path, path: str) -> Place:
    """Find the place of a file in a repository.

    Raises:
        UsageError: It leads out of the repository, or is no regular file.
    """
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts or "\0" in path:
        raise UsageError(f"{path!r} is no path within {root}")
    file = root.joinpath(*parts)
    if not file.parent.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"{path} leads out of {root} by a symbolic link")
    _check_kind(path, file)
    above = [PurePosixPath(*parts[:depth]) for depth in range(1, len(parts))]
    missing = tuple(str(folder) for folder in above if not (root / folder).is_dir())
    return Place(str(PurePosixPath(path)), file, missing)


def digest(file: Path) -> str | None:
    """SHA-256 of a regular file, in hex; ``None`` where there is none.

    Raises:
        OSError: It cannot be read.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with open(descriptor, "rb") as opened:  # noqa: PTH123 (a descriptor)
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            return "no regular file"
        return hashlib.file_digest(opened, "sha256").hexdigest()


def digest_of(content: bytes) -> str:
    """SHA-256 of a content, in hex."""
    return hashlib.sha256(content).hexdigest()


def _check_kind(path: str, file: Path) -> None:
    try:
        mode = file.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISLNK(mode):
        raise UsageError(
            f"{path} is a symbolic link", hint="name the file that it leads to, in secrets.nix too"
        )
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} is no regular file")
