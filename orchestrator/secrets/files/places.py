"""Where a secret's file is: within the repository, no symbolic link, and what it holds now."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orchestrator.core import beneath
from orchestrator.core.errors import UsageError


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
    if not is_inside(path):
        raise UsageError(f"{path!r} is no path within {root}")
    parts = PurePosixPath(path).parts
    file = root.joinpath(*parts)
    try:
        with beneath.parent(root, str(PurePosixPath(path))):
            pass
    except beneath.OutsideError:
        raise UsageError(f"{path} leads out of {root} by a symbolic link") from None
    except OSError:
        pass  # folders that are missing are made; what else is wrong is said by who writes
    _check_kind(path, file)
    above = [PurePosixPath(*parts[:depth]) for depth in range(1, len(parts))]
    missing = tuple(str(folder) for folder in above if not (root / folder).is_dir())
    return Place(str(PurePosixPath(path)), file, missing)


def is_inside(path: str) -> bool:
    """Whether a path leads into a repository, and not into what git keeps there for itself."""
    parts = PurePosixPath(path).parts
    named = parts and not PurePosixPath(path).is_absolute() and "\0" not in path
    return bool(named) and not any(part == ".." or part.lower() == ".git" for part in parts)


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
