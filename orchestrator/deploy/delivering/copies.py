"""What the copies of one run share: what was read once, and what is known of the links."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.deploy.copy.links import Links

if TYPE_CHECKING:
    from orchestrator.deploy.copy.codec import Codec
    from orchestrator.deploy.copy.spool import Spool


class Copies:
    """One run's. Close it when all hosts have come to their end.

    Attributes:
        links: What was measured of the ways to hosts.
    """

    def __init__(self, state: Path) -> None:
        self.links = Links(state / "links.json")
        self._state = state
        self._spools: dict[Codec, Spool] = {}

    def spool(self, codec: Codec) -> Spool:
        """What is sent compressed, whatever host it is for."""
        from orchestrator.deploy.copy.spool import Spool

        if codec not in self._spools:
            self._spools[codec] = Spool(self._state, codec)
        return self._spools[codec]

    async def close(self) -> None:
        """Keep what was measured, and give the disk's room back."""
        self.links.save()
        for spool in self._spools.values():
            await spool.close()
