"""A private folder that is gone afterwards, whatever is in it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def workplace() -> AsyncIterator[Path]:
    """Make a folder for nobody else."""
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-")).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
