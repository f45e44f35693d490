"""Who may change a host: a lock for the time of a deployment, a hold until a person lifts it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Lock:
    """A deployment's claim on a host, in ``/run/orchestrator/lock`` there.

    Attributes:
        token: Names the run; no two runs from any machine share it.
        who: ``user@machine`` of the deployer.
        run: The run's number on that machine.
        reason: What it is for.
        since: When it was taken.
        expires_in: Seconds, from the host's answer, after which it counts no more; negative where
            that is past.
    """

    token: str
    who: str
    run: int
    reason: str
    since: datetime
    expires_in: float


@dataclass(frozen=True, slots=True)
class Hold:
    """A person's word that nobody deploys there, in ``/var/lib/orchestrator/hold`` on the host.

    Attributes:
        id: What a deployment that goes past it must name.
        who: ``user@machine`` of the person.
        since: When it was placed.
    """

    id: str
    who: str
    reason: str
    since: datetime
