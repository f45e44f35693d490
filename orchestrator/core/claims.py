"""Claims on a host: a deployment's lock, a person's hold."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from orchestrator.core.units import ago

UNREADABLE = "unreadable"
"""The id of a hold whose file says none: it is a person's word all the same."""


class Lock(Struct, frozen=True):
    """A deployment's claim on a host, in ``/run/orchestrator/lock`` there.

    Attributes:
        token: Names the run; no two runs from any machine share it.
        who: ``user@machine`` of the deployer.
        run: The run's number on that machine; ``None`` for a person who took the lock away.
        reason: What it is for.
        since: When it was taken, by the deployer's clock; ``None`` where the file does not say.
        expires_in: Seconds, from the host's answer, after which it counts no more; not positive
            where that is past.
    """

    token: str
    who: str
    run: int | None
    reason: str
    since: datetime | None
    expires_in: float

    @property
    def is_live(self) -> bool:
        """Whether it still counts."""
        return self.expires_in > 0

    def in_words(self, now: datetime) -> str:
        """Say whose it is: ``by ada@desk, 3 min ago (run 7: switch)``."""
        when = f", {ago(self.since, now)}" if self.since else ""
        run = "" if self.run is None else f"run {self.run}: "
        return f"by {self.who}{when} ({run}{self.reason})"


class Hold(Struct, frozen=True):
    """A person's word that nobody deploys there, in ``/var/lib/orchestrator/hold`` on the host.

    Attributes:
        id: What a deployment that goes past it must name.
        who: ``user@machine`` of the person.
        reason: Why.
        since: When it was placed, by that person's clock; ``None`` where the file does not say.
    """

    id: str
    who: str
    reason: str
    since: datetime | None

    def in_words(self, now: datetime) -> str:
        """Say by whom, since when and why: ``by ada@desk, 3 h ago: "disk swap"``."""
        when = f", {ago(self.since, now)}" if self.since else ""
        return f'by {self.who}{when}: "{self.reason}"'
