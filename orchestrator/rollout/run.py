"""What a run's folder says of its rollout; pause, resume, abort from another terminal."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence

from orchestrator.core.errors import cause_of
from orchestrator.core.event import Notice, Paused
from orchestrator.core.host import Fleet, Host
from orchestrator.core.interrupt import Interrupt
from orchestrator.core.rollout import (
    Order,
    RolloutPolicy,
    RolloutStatus,
    Standing,
    Wave,
    WaveStatus,
    Word,
)
from orchestrator.core.run import DeployRequest, HostResult
from orchestrator.core.values import replace
from orchestrator.host.setup import Emit
from orchestrator.rollout.lead import Lead, Undo
from orchestrator.rollout.rollout import Rollout, waves
from orchestrator.runs.journal import Journal

POLL_SECONDS = 0.5
"""How soon a word is heard."""

WRITE_SECONDS = 0.05
"""In which changes are collected: a thousand hosts may end at the same moment."""


class Control:
    """Listens for words, and writes down where the rollout is, after each change.

    Args:
        journal: The run's.
        emit: Takes what happens.
    """

    def __init__(self, journal: Journal, emit: Emit) -> None:
        self._journal = journal
        self._number = journal.run.number
        self._emit = emit
        self._rollout = Rollout()
        self._lead: Lead | None = None
        self._paused_by: str | None = None
        self._answered: str | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._told_unwritten = False
        self._ended = False

    def of(self, rollout: Rollout, lead: Lead) -> None:
        """Serve a rollout."""
        self._rollout, self._lead = rollout, lead
        self._write()

    def changed(self) -> None:
        """Write down, soon, where the rollout is."""
        if self._writing is None and not self._ended:
            loop = asyncio.get_running_loop()
            self._writing = loop.call_later(WRITE_SECONDS, self._write)

    async def listen(self) -> None:
        """Do what is ordered, until this is cancelled."""
        while True:
            order = self._journal.order()
            if order is not None and order.id != self._answered:
                self._do(order)
                self._answered = order.id
                self._write()
            await asyncio.sleep(POLL_SECONDS)

    def end(self) -> None:
        """Write down how it ended."""
        self._ended = True
        self._write()

    def _do(self, order: Order) -> None:
        match order.word:
            case Word.PAUSE:
                self._paused_by = order.who
                self._rollout.pause()
                goes_on = f"orchestrator run resume {self._number}"
                self._emit(Paused(f"by {order.who}; it goes on with: {goes_on}"))
            case Word.RESUME:
                self._rollout.resume()
                self._emit(Notice(f"the rollout goes on, by {order.who}"))
            case Word.ABORT:
                said = f"the rollout was aborted by {order.who}"
                self._emit(Notice(said, warning=True))
                self._rollout.halt(said)

    def _write(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        try:
            self._journal.write_status(self._status())
        except OSError as error:
            if not self._told_unwritten:
                self._told_unwritten = True
                text = f"where the rollout is cannot be written down: {cause_of(error)}; it goes on"
                self._emit(Notice(text, warning=True))

    def _status(self) -> RolloutStatus:
        rollout = self._rollout
        standing, why = self._standing()
        # A person's pause does not end by itself.
        until = self._lead.until if self._lead and rollout.going else None
        return RolloutStatus(
            run=self._number,
            standing=standing,
            waves=tuple(
                WaveStatus(
                    wave.name, self._wave(at), {name: rollout.where(name) for name in wave.hosts}
                )
                for at, wave in enumerate(rollout.waves)
            ),
            why=why,
            until=until,
            answered=self._answered,
        )

    def _standing(self) -> tuple[Standing, str | None]:
        if self._rollout.halted is not None:
            return Standing.STOPPED, self._rollout.halted
        if self._ended:
            return Standing.ENDED, None
        if not self._rollout.going:
            return Standing.PAUSED, f"by {self._paused_by}"
        if self._lead and self._lead.until:
            return Standing.PAUSED, "between two waves"
        return Standing.GOING, None

    def _wave(self, number: int) -> Standing:
        if self._rollout.ended(number):
            return Standing.ENDED
        return Standing.GOING if self._rollout.is_open(number) else Standing.WAITING


Bugs = list[Exception]


def divide(
    fleet: Fleet, hosts: Sequence[Host], request: DeployRequest
) -> tuple[RolloutPolicy, tuple[Wave, ...]]:
    """Find how a run goes over its hosts.

    What the fleet says holds for ordinary deployments: in an emergency, on the way back, and where
    hosts come back that were unreachable, everybody goes at once; and where no host is changed.

    Raises:
        UsageError: A selector of the policy means no host.
    """
    policy = request.rollout
    if request.back is None and not request.catch_up and request.emergency is None:
        policy = policy.over(fleet.rollout)
    if not request.goal.changes_host:
        policy = RolloutPolicy()
    return policy, request.waves or waves(fleet, hosts, policy)


class RolloutRun:
    """One run's rollout.

    Args:
        journal: The run's.
        request: What is wanted. A plan has no turns: its hosts go on at once.
        policy: How many hosts may fail, and what is done then.
        divided: The waves.
        undo: How a host's share of the run is undone.
        interrupt: The wish to stop.
        emit: Takes what happens.

    Attributes:
        rollout: For the run's session.
    """

    def __init__(
        self,
        journal: Journal,
        request: DeployRequest,
        policy: RolloutPolicy,
        divided: tuple[Wave, ...],
        undo: Undo,
        interrupt: Interrupt,
        emit: Emit,
    ) -> None:
        self._request = request
        self._control = Control(journal, emit)
        if request.plan_only:
            self.rollout = Rollout()
        else:
            self.rollout = Rollout(divided, self._control.changed)
        self._lead = Lead(self.rollout, policy, undo, interrupt, emit)

    @contextlib.asynccontextmanager
    async def led(self, bugs: Bugs) -> AsyncIterator[None]:
        """Lead it while the context is open, and to its end; what is a bug goes to ``bugs``."""
        if self._request.plan_only:
            yield
            return
        self._control.of(self.rollout, self._lead)
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._or_bug(self._control.listen(), bugs))
            leading = group.create_task(self._or_bug(self._lead.lead(), bugs))
            yield
            await leading
            listening.cancel()
        bugs.extend(self._lead.bugs)
        self._control.end()

    def final(self, results: Mapping[str, HostResult]) -> dict[str, HostResult]:
        """The hosts' results, with what became of them after their own ends."""
        outcomes = self.rollout.outcomes
        return {
            name: replace(result, outcome=outcomes.get(name, result.outcome))
            for name, result in results.items()
        }

    async def _or_bug(self, work: Coroutine[None, None, None], bugs: Bugs) -> None:
        """Its bug must not cut off hosts that are being changed; no further one is begun."""
        try:
            await work
        except Exception as bug:
            bugs.append(bug)
            self.rollout.halt(f"a bug in the orchestrator: {type(bug).__name__}: {bug}")
