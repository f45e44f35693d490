"""Read a repository's file without being led out of it, held up, or filled up.

A secret's path may name anything: a FIFO that blocks, a device without end, a link to elsewhere, a
sparse file of gigabytes. Only a regular file within the repository is read, and no more of it than
is asked for.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core import beneath

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
