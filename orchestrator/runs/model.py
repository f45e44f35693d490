"""What a run leaves: the entries of its events file, the lines of its log, and what they tell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC

from msgspec import Struct, field

from orchestrator.core.errors import UsageError
from orchestrator.core.event import Event, HostFinished, RunFinished, RunStarted
from orchestrator.core.outcome import Outcome, Skipped, outcome_name
from orchestrator.core.rollout import DEPLOYING, PREPARING, READY, RolloutStatus, Standing
from orchestrator.core.run import DeployRequest, PastResult, PastRun, Run
from orchestrator.core.store import OutPath
from orchestrator.core.stored import Time, kebab
from orchestrator.core.values import replace

FORMAT = 1
"""Of a run's files."""


class NothingAskedError(UsageError):
    """A run was none of the fleet's deployments, or kept nothing of what it was asked for."""


class Asked(Struct, frozen=True, tag_field="type", tag=kebab):
    """The first entry: what the run was asked for. No secrets.

    Attributes:
        token: Names the run on hosts.
        request: With the waves, and the policy, that it went by.
    """

    run: Run
    token: str
    request: DeployRequest
    format: int = FORMAT


class LastStatus(Struct, frozen=True, tag_field="type", tag=kebab):
    """Where the rollout was when the run ended."""

    status: RolloutStatus


Record = Asked | Event | LastStatus


class Entry(Struct, frozen=True):
    """One line of the events file."""

    at: Time
    event: Record


class LoggedLine(Struct, frozen=True):
    """A line of the log; ``host`` is empty where it is of the whole run."""

    time: str
    host: str
    text: str


def is_deployment(request: DeployRequest) -> bool:
    """Whether it changes hosts to what the fleet says: no plan, no build, no way back."""
    ordinary = request.back is None and not request.catch_up and not request.plan_only
    return ordinary and request.goal.changes_host


class RunRecord(Struct):
    """What the events of a run tell, as far as they could be read.

    Attributes:
        ended: The outcomes of hosts that came to their ends.
        damage: What could not be read; ``None`` where all could.
    """

    asked: Asked | None = None
    started: RunStarted | None = None
    ended: dict[str, Outcome] = field(default_factory=dict)
    status: RolloutStatus | None = None
    finished: RunFinished | None = None
    damage: str | None = None

    def add(self, event: Record) -> None:
        """Take note of an event."""
        match event:
            case Asked():
                self.asked = event
            case RunStarted():
                self.started = event
            case HostFinished(host=host, outcome=outcome):
                self.ended[host] = outcome
            case LastStatus(status=status):
                self.status = status
            case RunFinished():
                self.finished = event
            case _:
                pass

    @property
    def run(self) -> Run | None:
        """The run itself."""
        one = self.asked or self.started
        return one.run if one is not None else None

    @property
    def outcomes(self) -> dict[str, str]:
        """The name of each host's outcome, as far as hosts have come to their ends."""
        if self.finished is not None:
            results = self.finished.report.hosts
            return {name: outcome_name(one.outcome) for name, one in results.items()}
        going = (PREPARING, READY, DEPLOYING)
        hosts: Mapping[str, str] = self.status.hosts if self.status is not None else {}
        told = {name: at for name, at in hosts.items() if at not in going}
        return told | {name: outcome_name(one) for name, one in self.ended.items()}

    @property
    def results(self) -> dict[str, PastResult]:
        """What became of each host, and, where the run told its end, what it was before."""
        if self.finished is None:
            return {name: _result(outcome) for name, outcome in self.ended.items()}
        hosts = self.finished.report.hosts
        return {
            name: replace(_result(one.outcome), before=one.before) for name, one in hosts.items()
        }

    @property
    def resumable(self) -> bool:
        """Whether there is something to go on with, as long as the run is not alive."""
        if self.asked is None or not is_deployment(self.asked.request):
            return False
        if self.finished is None or self.finished.report.interrupted:
            return True
        return self.status is not None and self.status.standing is Standing.STOPPED

    def past(self, number: int, began: str, *, alive: bool) -> PastRun:
        """Put it into one line; what it does not tell is empty.

        Args:
            number: The run's.
            began: When, where the record does not tell; ISO 8601.
            alive: Whether the run's process lives.
        """
        run, report = self.run, self.finished.report if self.finished else None
        return PastRun(
            number=number,
            started=run.started.astimezone(UTC).isoformat() if run else began,
            who=run.who if run else "",
            revision=run.revision if run else None,
            goal=run.title if run else "",
            seconds=report.seconds if report else None,
            exit_code=report.exit_code if report else None,
            hosts=dict(sorted(self.outcomes.items())),
            plan=self.started.plan_only if self.started else False,
            alive=alive and report is None,
            resumable=self.resumable and not alive,
            damaged=self.damage is not None,
        )


def _result(outcome: Outcome) -> PastResult:
    out: OutPath | None = None if isinstance(outcome, Skipped) else outcome.out_path
    return PastResult(outcome_name(outcome), out, None)
