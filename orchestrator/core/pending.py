"""A system that waits for a host that did not answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.core.goal import Goal
from orchestrator.core.run import DeployRequest, Reboot, Run
from orchestrator.core.state import HostState
from orchestrator.core.store import Evaluated, OutPath

LONGEST_PAUSE = timedelta(minutes=15)
"""Between two tries of ``watch``: how long a host that came back waits at the most."""


@dataclass(frozen=True, slots=True)
class Pending:
    """What is to be brought to a host once it answers, and how.

    Attributes:
        system: What was evaluated for it, and built.
        run: The run that met the host absent.
        who: ``user@machine`` of that run.
        reason: Why the host was not reached, in words.
        since: When the system began to wait.
        expires: From when on nobody wants it any more.
        goal: How far the deployment was to go.
        verify: Whether it was to be verified.
        skip_preflight: The ids of checks that did not count.
        reboot: Whether the host was to be booted anew.
        tries: How often ``catch-up`` or ``watch`` met the host absent.
        last_try: When that was last.
        problem: Why a delivery failed although the host answered: ``watch`` then leaves it alone.
    """

    host: str
    system: Evaluated
    run: int
    who: str
    revision: str | None
    reason: str
    since: datetime
    expires: datetime
    goal: Goal = Goal.SWITCH
    verify: bool = True
    skip_preflight: tuple[str, ...] = ()
    reboot: Reboot = Reboot.NEVER
    tries: int = 0
    last_try: datetime | None = None
    problem: str | None = None

    def has_expired(self, now: datetime) -> bool:
        """Whether its time is up."""
        return now >= self.expires

    def due(self, interval: timedelta) -> datetime | None:
        """When ``watch`` tries again: each pause is twice the one before, up to a longest.

        Args:
            interval: The first pause.

        Returns:
            ``None`` where a person has to look first.
        """
        if self.problem is not None:
            return None
        if self.last_try is None:
            return self.since
        doubled = interval * (1 << min(max(self.tries - 1, 0), 20))
        return self.last_try + min(doubled, max(interval, LONGEST_PAUSE))

    def is_overtaken(self, state: HostState) -> bool:
        """Whether the host was deployed otherwise after this system began to wait."""
        record = state.record
        if record is None or record.out_path == self.system.out:
            return False
        # Deployers' clocks are compared: the host's own may be wrong.
        return (record.began or record.at) > self.since

    def is_superseded_by(self, run: Run, request: DeployRequest, out: OutPath) -> bool:
        """Whether a run that brought the host to ``out`` leaves nothing to wait for.

        A catch-up brings what waited: a newer system, which began to wait meanwhile, still does.
        """
        if request.catch_up and self.host in request.systems:
            return self.system.out == out
        return self.run <= run.number
