"""Files of this machine's own, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TypeVar

from orchestrator.core import beneath
from orchestrator.core.stored import decode, encode

T = TypeVar("T")

MOST = 64 << 20
"""Bytes of a file that is read as one value."""


def load(root: Path, path: str, kind: type[T], newest: int | None = None) -> T:
    """Read a file that has one value.

    Args:
        root: The folder that nothing leads out of.
        path: The file, below it.
        kind: The value's type.
        newest: The newest version that can be read: see :func:`.stored.decode`.

    Raises:
        FileNotFoundError: There is none.
        OSError: It cannot be read: it is a link that leads out, no regular file, or too large.
        NewerError: It is of a newer version.
        DamagedError: It has no such value.
    """
    return decode(kind, beneath.read(root, path, MOST), newest)


def save(file: Path, value: object, *, sync: bool = False) -> None:
    """Replace a file that has one value; only its owner may read it.

    Raises:
        OSError: It cannot be written; what was there is there still.
    """
    replace(file, encode(value) + b"\n", sync=sync)


def replace(file: Path, content: bytes, *, mode: int = 0o600, sync: bool = False) -> None:
    """Replace a file in one step: nobody ever reads half of it.

    Args:
        file: Where to; a link in its place is replaced, and not followed.
        content: What it is to have.
        mode: Who may read it.
        sync: Whether it is to outlive a power cut.

    Raises:
        OSError: It cannot be written; what was there is there still.
    """
    # A name of its own: two processes may write at the same time.
    descriptor, part = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(descriptor, mode)
            if sync:
                os.fsync(descriptor)
        Path(part).replace(file)
    except BaseException:
        Path(part).unlink()
        raise
