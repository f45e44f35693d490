"""What a run knows of the fleet's secrets: found out once, when the first host is to be changed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.host.setup import Setup

if TYPE_CHECKING:
    from orchestrator.secrets.plan.evidence import Evidence


class RunSecrets:
    """One run's knowledge of secrets.

    Args:
        setup: The fleet.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._gathering = asyncio.Lock()
        self._evidence: Evidence | None = None

    @property
    def file(self) -> Path | None:
        """The fleet's ``secrets.nix``; ``None`` where it has none."""
        from orchestrator.secrets.place import find

        return find(Path(self._setup.fleet.root))

    async def evidence(self, file: Path) -> Evidence:
        """All that is known without a host.

        Raises:
            RulesError: ``secrets.nix`` says nothing usable.
            StepError: git refused.
            UsageError: What was written down beside it cannot be used.
        """
        # What reads secrets takes long to import, and a run that changes nothing does without.
        from orchestrator.secrets.gather import Context, gather
        from orchestrator.secrets.place import place_of

        async with self._gathering:
            if self._evidence is None:
                context = Context(self._setup.fleet, self._setup.ssh, setup=self._setup)
                self._evidence = await gather(await place_of(file), context)
        return self._evidence
