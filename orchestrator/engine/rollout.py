"""Waves: which host's turn it is."""

from __future__ import annotations

from orchestrator.engine.work import HostWork


class Rollout:
    """Lets hosts go on wave by wave."""

    async def turn(self, work: HostWork) -> None:
        """Wait for the host's wave."""
