"""Files below a folder that somebody else may have filled: no symbolic link leads out of it.

What ``RESOLVE_BENEATH`` of openat2(2) promises, where there is no such call, too: each folder is
opened from the one above it and none is followed by name, so that nothing can be put in the way
between the look and the deed. Links that stay below the folder are followed; one in the place of
the file itself never is. What git keeps for itself, whose hooks are programs, is outside as well.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not to wait for a FIFO's writer, nor to become a terminal's owner: open(2).
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_LINKS = 40
"""How many links are followed for one path, as in path_resolution(7)."""


class OutsideError(OSError):
    """A path leads out of the folder, or into what git keeps there for itself."""

    def __init__(self, path: str, how: str = "out of the folder by a symbolic link") -> None:
        super().__init__(errno.EXDEV, f"it leads {how}", path)


class _Walk:
    """The folders from the root to where a path has led."""

    def __init__(self, root: Path, path: str) -> None:
        if path.startswith("/"):
            raise OutsideError(path)
        if "\0" in path:
            raise OSError(errno.EINVAL, "it is no file name", path)
        self._path = path
        self._links = 0
        self._open = [os.open(root, _FOLDER & ~os.O_NOFOLLOW)]

    @property
    def here(self) -> int:
        return self._open[-1]

    def close(self) -> None:
        while self._open:
            os.close(self._open.pop())

    def into(self, folders: list[str]) -> None:
        todo = folders[::-1]
        while todo:
            name = todo.pop()
            if name == "..":
                self._up()
            elif name not in ("", "."):
                todo += self._down(name)[::-1]

    def _up(self) -> None:
        if len(self._open) == 1:
            raise OutsideError(self._path)
        os.close(self._open.pop())

    def _down(self, name: str) -> list[str]:
        """Enter a folder; of a link, give what it leads through."""
        self.refuse_gits_own(name)
        try:
            self._open.append(os.open(name, _FOLDER, dir_fd=self.here))
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                error.filename = self._path
                raise
            target = self.link(name)
            if target is None:
                raise NotADirectoryError(
                    errno.ENOTDIR, os.strerror(errno.ENOTDIR), self._path
                ) from None
            return target
        return []

    def refuse_gits_own(self, name: str) -> None:
        if name.lower() == ".git":
            raise OutsideError(self._path, "into git's own folder")

    def link(self, name: str) -> list[str] | None:
        """Where a link here leads, relative to here; ``None`` where it is no link."""
        try:
            target = os.readlink(name, dir_fd=self.here)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return None
            raise
        self._links += 1
        if self._links > _LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), self._path)
        if target.startswith("/"):
            raise OutsideError(self._path)
        return target.split("/")


@contextlib.contextmanager
def parent(root: Path, path: str) -> Iterator[tuple[int, str]]:
    """Open the folder that a file is in, or shall be in.

    Args:
        root: The folder that nothing leads out of; it may be a link itself.
        path: Relative to it, without ``..``.

    Yields:
        The folder's descriptor and the file's name in it, for the ``dir_fd`` of :mod:`os`.

    Raises:
        OutsideError: It leads out of the root.
        OSError: A folder above the file is not there, or cannot be opened.
    """
    *folders, name = path.split("/")
    if name in ("", ".", "..") or ".." in folders:
        raise OutsideError(path)
    walk = _Walk(root, path)
    try:
        walk.into(folders)
        walk.refuse_gits_own(name)
        yield walk.here, name
    finally:
        walk.close()


def open_file(root: Path, path: str) -> int:
    """Open a file to read it, through links that stay below the root; whatever its kind is.

    Raises:
        OutsideError: It leads out of the root.
        OSError: It is not there, or cannot be opened.
    """
    walk = _Walk(root, path)
    try:
        todo: list[str] | None = path.split("/")
        while todo is not None:
            *folders, name = todo
            walk.into(folders)
            if name in ("", ".", ".."):
                walk.into([name])
                return os.open(".", _FOLDER, dir_fd=walk.here)
            try:
                return os.open(name, _FILE, dir_fd=walk.here)
            except OSError as error:
                todo = walk.link(name) if error.errno == errno.ELOOP else None
                if todo is None:
                    error.filename = path
                    raise
        raise AssertionError  # the loop returns or raises
    finally:
        walk.close()


def read(root: Path, path: str, most: int) -> bytes:
    """Read a regular file whole, through links that stay below the root.

    Raises:
        OutsideError: It leads out of the root.
        OSError: It is not there, is no regular file, or has more than ``most`` bytes.
    """
    with os.fdopen(open_file(root, path), "rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", path)
        content = opened.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most} bytes", path)
    return content


def is_regular(root: Path, path: str) -> bool:
    """Whether it is a regular file below the root, and no link."""
    try:
        with parent(root, path) as (folder, name):
            return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def digest(root: Path, path: str) -> str | None:
    """SHA-256 of a regular file, in hex; ``None`` where there is none.

    Raises:
        OutsideError: It leads out of the root.
        OSError: It cannot be read, or is a link.
    """
    try:
        with parent(root, path) as (folder, name):
            descriptor = os.open(name, _FILE, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            return "no regular file"
        return hashlib.file_digest(opened, "sha256").hexdigest()


def write_new(root: Path, path: str, content: bytes, mode: int, exactly: int | None = None) -> None:
    """Make a file that was not there, and bring it to the disk.

    Args:
        root: The folder that nothing leads out of.
        path: Relative to it.
        content: What it holds.
        mode: Its mode, less the umask.
        exactly: Its mode, whatever the umask says.

    Raises:
        OutsideError: It leads out of the root.
        OSError: It is there, or the disk is full.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with parent(root, path) as (folder, name):
        descriptor = os.open(name, flags, mode, dir_fd=folder)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if exactly is not None:
            os.fchmod(descriptor, exactly)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(root: Path, path: str, content: bytes) -> None:
    """Write a file in one step: nobody ever reads half of it. A file's mode stays.

    Raises:
        OutsideError: It leads out of the root.
        OSError: It could not be written, or is no regular file; it is as it was.
    """
    staged = f"{path.rpartition('/')[0]}/.orchestrator-{secrets.token_hex(4)}".lstrip("/")
    with parent(root, path) as (folder, name):
        mode = _mode(folder, name)
    try:
        write_new(root, staged, content, 0o666 if mode is None else 0o600, mode)
        move(root, staged, path)
    except BaseException:
        remove(root, staged)
        raise


def _mode(folder: int, name: str) -> int | None:
    """The mode of a regular file; ``None`` where there is none."""
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no regular file", name)
    return stat.S_IMODE(mode) & 0o777


def move(root: Path, path: str, to: str) -> None:
    """Rename a file over another.

    Raises:
        OutsideError: One of the paths leads out of the root.
        OSError: It is not there, or cannot be moved.
    """
    with parent(root, path) as (folder, name), parent(root, to) as (other, new):
        os.rename(name, new, src_dir_fd=folder, dst_dir_fd=other)


def remove(root: Path, path: str) -> None:
    """Remove a file, where there is one.

    Raises:
        OutsideError: It leads out of the root.
        OSError: It cannot be removed.
    """
    with (
        contextlib.suppress(FileNotFoundError, NotADirectoryError),
        parent(root, path) as (folder, name),
    ):
        os.unlink(name, dir_fd=folder)


def make_folder(root: Path, path: str, mode: int = 0o777) -> None:
    """Make a folder, where there is nothing of its name.

    Raises:
        OutsideError: It leads out of the root.
        OSError: It cannot be made.
    """
    with parent(root, path) as (folder, name), contextlib.suppress(FileExistsError):
        os.mkdir(name, mode, dir_fd=folder)


def remove_folder(root: Path, path: str) -> None:
    """Remove an empty folder.

    Raises:
        OutsideError: It leads out of the root.
        OSError: It is not empty, not there, or cannot be removed.
    """
    with parent(root, path) as (folder, name):
        os.rmdir(name, dir_fd=folder)


def sync(root: Path, folder: str) -> None:
    """Bring a folder's entries to the disk; ``"."`` is the root.

    Raises:
        OutsideError: It leads out of the root.
        OSError: The disk failed.
    """
    walk = _Walk(root, folder)
    try:
        walk.into(folder.split("/"))
        os.fsync(walk.here)
    finally:
        walk.close()
