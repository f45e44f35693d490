"""A host's place among those under way, of which there are only so many."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Place:
    """A place that can be given up for a while."""

    def __init__(self) -> None:
        self._places: asyncio.Semaphore | None = None

    @contextlib.asynccontextmanager
    async def among(self, places: asyncio.Semaphore) -> AsyncIterator[None]:
        """Have one of the places while the context is open."""
        await places.acquire()
        self._places = places
        try:
            yield
        finally:
            self._give_up()

    @contextlib.asynccontextmanager
    async def given_up(self) -> AsyncIterator[None]:
        """Give it to others meanwhile: who waits for others must not be in their way."""
        places = self._places
        self._give_up()
        yield
        if places is not None:
            await places.acquire()
            self._places = places

    def _give_up(self) -> None:
        places, self._places = self._places, None
        if places is not None:
            places.release()
