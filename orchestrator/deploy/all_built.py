"""``--all-must-build``: no host gets anything before every host's system is built."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from orchestrator.core.event import Phase
from orchestrator.core.outcome import Deferred, Outcome, Unchanged
from orchestrator.core.units import listing
from orchestrator.deploy.work import HostWork
from orchestrator.rollout.rollout import HaltedError


class AllBuilt:
    """Where hosts wait for each other's builds. A host that waits holds nothing that others need.

    Args:
        hosts: The names of all that are to be built; none where nobody waits.
    """

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._open = set(hosts)
        self._failed: list[str] = []
        self._waits = bool(self._open)
        self._decided = asyncio.Event()

    async def wait(self, work: HostWork) -> None:
        """Say that a host's system is built, and wait until all others' are.

        In a plan nothing is built: there, those count that evaluate.

        Raises:
            HaltedError: One of them is not, and will not be.
        """
        if not self._waits:
            return
        self._settle(work.host.name)
        if not self._decided.is_set():
            with work.step(Phase.WAIT):
                work.doing("built; waiting for the builds of other hosts")
                async with work.place.given_up():
                    await self._decided.wait()
        if self._failed:
            names = listing(sorted(self._failed))
            said = (
                f"nothing would be activated: {names} would not build"
                if work.session.request.plan_only
                else f"nothing was activated: {names} did not build"
            )
            raise HaltedError(f"{said}, and all must (--all-must-build)")

    def ended(self, name: str, outcome: Outcome) -> None:
        """Take note of a host's end; one that was at its target, or waits, has its system."""
        if name in self._open and not isinstance(outcome, Unchanged | Deferred):
            self._failed.append(name)
        self._settle(name)

    def _settle(self, name: str) -> None:
        self._open.discard(name)
        if not self._open:
            self._decided.set()
