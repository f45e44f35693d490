"""Files of a repository, read without harm: no link leads out, none holds us up."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orchestrator.core import beneath
from orchestrator.core.errors import UsageError
from orchestrator.core.files import MOST
from orchestrator.core.stored import DamagedError, decode, pretty
from orchestrator.secrets.model.repository import VERSION, LockEntry

_KINDS = (
    (stat.S_ISDIR, "is a folder"),
    (stat.S_ISFIFO, "is a FIFO"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
)


class FileReadError(Exception):
    """Why a file cannot be read, as a fact about it: ``is a FIFO``."""


@dataclass(frozen=True, slots=True)
class Content:
    """A file's beginning.

    Attributes:
        data: At most as many bytes as were asked for.
        size: Of the whole file, in bytes.
        last: Its last byte; empty where it has none.
    """

    data: bytes
    size: int
    last: bytes

    @property
    def whole(self) -> bool:
        """Whether ``data`` is all of it."""
        return len(self.data) == self.size


def read(root: str, path: str, most: int) -> Content | None:
    """Read a file's first bytes.

    Args:
        root: The repository's real path.
        path: Relative to it.
        most: Bytes to read at the most.

    Returns:
        ``None`` where there is no such file.

    Raises:
        FileReadError: It is no regular file, is not readable, or is a link out of the repository.
    """
    try:
        descriptor = beneath.open_file(Path(root), path)
    except beneath.OutsideError:
        raise FileReadError("is a symbolic link out of the repository") from None
    except FileNotFoundError:
        if Path(root, path).is_symlink():
            raise FileReadError("is a symbolic link to nothing") from None
        return None
    except NotADirectoryError:
        return None
    except OSError as error:
        raise FileReadError(_why(error)) from None
    try:
        return _content(descriptor, most)
    except OSError as error:
        raise FileReadError(_why(error)) from None
    finally:
        os.close(descriptor)


def _content(descriptor: int, most: int) -> Content:
    status = os.fstat(descriptor)
    for is_kind, words in _KINDS:
        if is_kind(status.st_mode):
            raise FileReadError(words)
    size = status.st_size
    data = os.pread(descriptor, min(most, size), 0)
    last = os.pread(descriptor, 1, size - 1) if size else b""
    return Content(data, size, last)


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    return "cannot be read (its name is no file name)"


@dataclass(frozen=True, slots=True)
class FilePlace:
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


def place(root: Path, path: str) -> FilePlace:
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
    return FilePlace(str(PurePosixPath(path)), file, missing)


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


NAME = "secrets.lock.json"


@dataclass(frozen=True, slots=True)
class _Lock:
    version: int
    secrets: dict[str, LockEntry]


def read_lock(root: str, path: str) -> dict[str, LockEntry]:
    """Read the entries, by the secrets' paths relative to the root; none where there is no file.

    Args:
        root: The repository's real path.
        path: The file, relative to it.

    Raises:
        UsageError: It is not what we write.
    """
    try:
        content = read(root, path, MOST)
        return parse(content.data) if content else {}
    except (FileReadError, DamagedError) as error:
        raise UsageError(
            f"{path} cannot be used: {error}",
            hint="take it from git again, or remove it and run: orchestrator secrets rekey --all",
        ) from None


def parse(data: bytes) -> dict[str, LockEntry]:
    """Read entries; :func:`form` is the other way.

    Raises:
        DamagedError: It is not what we write, or of a newer version.
    """
    return decode(_Lock, data, VERSION).secrets


def form(entries: Mapping[str, LockEntry]) -> bytes:
    """Write entries, sorted, a line to each value: so that git shows and merges what changed."""
    return pretty(_Lock(VERSION, dict(entries)))
