"""Files of this machine's own, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


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
