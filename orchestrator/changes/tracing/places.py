"""Where the tracer keeps what it made."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The tracer's folder in the person's cache, made where it is missing, for nobody else."""
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    folder = Path(base, "orchestrator", "tracing").absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
