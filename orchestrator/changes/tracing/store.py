"""A folder in the Nix store, for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from orchestrator.core import process
from orchestrator.core.errors import StepError

_SECONDS = 600.0


@asynccontextmanager
async def added(folder: Path) -> AsyncIterator[str]:
    """Add a folder, give its path in the store, and delete it afterwards if nothing keeps it.

    Raises:
        StepError: It cannot be added.
    """
    argv = ("nice", "-n", "19", "nix-store", "--add", str(folder))
    done = await process.run(argv, deadline=_SECONDS)
    if done.rc != 0:
        raise StepError("the twin cannot be added to the store", stderr=done.err)
    try:
        yield done.out
    finally:
        # To its end even where we are cancelled: it is short, and nobody else will do it.
        deleting = asyncio.ensure_future(_delete(done.out))
        try:
            await asyncio.shield(deleting)
        except asyncio.CancelledError:
            await asyncio.wait((deleting,))
            raise


async def _delete(path: str) -> None:
    """With what was derived from it, which is of no use to anybody."""
    with suppress(StepError):
        query = ("nix-store", "--query", "--referrers-closure", path)
        found = await process.run(query, deadline=_SECONDS)
        await process.run(("nix-store", "--delete", *found.out.split()), deadline=_SECONDS)
