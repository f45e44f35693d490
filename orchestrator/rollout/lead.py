"""From wave to wave: the budget, the pause, the end, and hosts that are rolled back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from orchestrator.core.errors import BugError
from orchestrator.core.event import HostFinished, Notice, Paused, WaveEnded, WaveStarted
from orchestrator.core.interrupt import Interrupt
from orchestrator.core.outcome import Deferred, Deployed, Failed, Outcome, Problem, RolledBack
from orchestrator.core.rollout import RolloutPolicy, WhenSpent
from orchestrator.core.store import OutPath
from orchestrator.host.setup import Emit
from orchestrator.rollout.rollout import Rollout


class Undo(Struct, frozen=True):
    """How a host's share of a run is undone; each says what became of the host.

    Attributes:
        withdraw: What waits for an unreachable host is taken away again.
        roll_back: A host that was deployed goes back to what it ran.
    """

    withdraw: Callable[[Any, str], Outcome]
    roll_back: Callable[[Any, OutPath, str], Awaitable[Outcome]]


class Back:
    """The way back of a rollout's hosts.

    Args:
        rollout: The rollout.
        undo: How a host's share is undone.
        why: Which hosts failed, for the outcomes.
        emit: Takes what happens.
        bugs: Takes bugs.
    """

    def __init__(
        self, rollout: Rollout, undo: Undo, why: str, emit: Emit, bugs: list[Exception]
    ) -> None:
        self._rollout = rollout
        self._undo = undo
        self._why = why
        self._emit = emit
        self._bugs = bugs

    async def take(self, names: tuple[str, ...]) -> None:
        """Roll back those that were deployed, all at once; drop what is pending for others."""
        for name in names:
            if isinstance(self._rollout.outcomes[name], Deferred):
                self._ends(name, self._undo.withdraw(self._rollout.works[name], self._why))
        changed = {name: done for name in names if (done := self._changed(name)) is not None}
        if changed:
            self._emit(Notice(f"rolling back {', '.join(changed)}: {self._why}", warning=True))
        async with asyncio.TaskGroup() as group:
            for name, outcome in changed.items():
                group.create_task(self._take_one(name, outcome.out_path), name=name)

    def _changed(self, name: str) -> Deployed | None:
        """The outcome of a host that was changed; one that was only rebooted was not."""
        outcome = self._rollout.outcomes[name]
        if isinstance(outcome, Deployed) and self._rollout.works[name].before is not None:
            return outcome
        return None

    async def _take_one(self, name: str, out: OutPath) -> None:
        outcome: Outcome
        try:
            outcome = await self._undo.roll_back(self._rollout.works[name], out, self._why)
        except Exception as bug:  # It must not cut off others that are being rolled back.
            self._bugs.append(bug)
            message = BugError(bug).message
            outcome = Failed(message, Problem("roll back", message, host_state="not known"), out)
        self._ends(name, outcome)

    def _ends(self, name: str, outcome: Outcome) -> None:
        """Take note of another end than the one that a host had."""
        self._rollout.finished(name, outcome)
        self._emit(HostFinished(name, outcome, self._rollout.works[name].seconds))


class Lead:
    """Opens waves, judges what came of them, and takes hosts back where the policy says so.

    Args:
        rollout: Which hosts are in which wave, and where they are.
        policy: How many may fail, and what is done then.
        undo: How a host's share of the run is undone.
        interrupt: The wish to stop: then no further wave begins and nothing is rolled back.
        emit: Takes what happens.

    Attributes:
        until: When a pause ends by itself.
        bugs: That were met while hosts were rolled back.
    """

    def __init__(
        self,
        rollout: Rollout,
        policy: RolloutPolicy,
        undo: Undo,
        interrupt: Interrupt,
        emit: Emit,
    ) -> None:
        self.until: datetime | None = None
        self.bugs: list[Exception] = []
        self._rollout = rollout
        self._policy = policy
        self._undo = undo
        self._interrupt = interrupt
        self._emit = emit
        self._of = len(rollout.waves)

    async def lead(self) -> None:
        """Go through the waves; ends with the last host."""
        for number in range(self._of):
            await self._wave(number)
            if self._is_over():
                return
            if (spent := self._spent(number)) is not None:
                await self._stop(number, spent)
                return
            await self._pause(number)
            if self._is_over():
                return

    def _is_over(self) -> bool:
        return self._rollout.halted is not None or self._interrupt.wished

    async def _wave(self, number: int) -> None:
        rollout, wave = self._rollout, self._rollout.waves[number]
        await rollout.until(
            lambda: rollout.going or bool(rollout.halted) or rollout.nothing_left(number - 1)
        )
        if not self._is_over():
            rollout.open(number)
            self._say(WaveStarted(wave, number + 1, self._of))
        await rollout.until(lambda: rollout.ended(number))
        failed = tuple(name for name in wave.hosts if _failed(rollout.outcomes[name]))
        if rollout.is_open(number):
            self._say(WaveEnded(wave, number + 1, self._of, failed))
            self._warn_of_nobody(number)

    def _warn_of_nobody(self, number: int) -> None:
        """Tell that a wave was none, before the next one relies on it."""
        wave, outcomes = self._rollout.waves[number], self._rollout.outcomes
        waits = all(isinstance(outcomes[name], Deferred) for name in wave.hosts)
        if waits and not self._rollout.nothing_left(number):
            text = f"no host of wave {number + 1}, {wave.name}, answered: it proves nothing"
            self._emit(Notice(text, warning=True))

    async def _pause(self, number: int) -> None:
        rollout, wave = self._rollout, self._rollout.waves[number]
        if not (wave.pause and rollout.touched(number)) or rollout.nothing_left(number):
            return
        rollout.skips_pause = False
        self.until = datetime.now(UTC) + timedelta(seconds=wave.pause)
        self._emit(Paused(f"after wave {number + 1}, {wave.name}", wave.pause))
        rollout.tell()
        await rollout.until(
            lambda: rollout.skips_pause or bool(rollout.halted) or rollout.nothing_left(number),
            wave.pause,
        )
        self.until = None

    def _spent(self, number: int) -> str | None:
        """Say why the rollout goes no further; ``None`` where it does."""
        hosts = [name for wave in self._rollout.waves[: number + 1] for name in wave.hosts]
        failed = {
            name: outcome
            for name in hosts
            if (outcome := _failed(self._rollout.outcomes[name])) is not None
        }
        for name, outcome in failed.items():
            if outcome.problem.lost:
                return f"{name} did not come back: {outcome.problem.message}"
        total = sum(len(wave.hosts) for wave in self._rollout.waves)
        most = self._policy.most_failures(total)
        if not failed or len(failed) < most:
            return None
        return f"{_names(failed)}: the budget is {most} failed host{'s' if most > 1 else ''}"

    async def _stop(self, number: int, spent: str) -> None:
        wave = self._rollout.waves[number]
        after = f"after wave {number + 1} of {self._of}, {wave.name}"
        if not self._rollout.nothing_left(number):
            self._emit(Notice(f"the rollout is stopped {after}: {spent}", warning=True))
            self._rollout.halt(f"the rollout was stopped {after}: {spent}")
        match self._policy.when_spent or WhenSpent.STOP:
            case WhenSpent.ROLL_BACK_WAVE:
                waves = self._rollout.waves[number : number + 1]
            case WhenSpent.ROLL_BACK_RUN:
                waves = self._rollout.waves[: number + 1]
            case WhenSpent.STOP:
                return
        back = Back(self._rollout, self._undo, spent, self._emit, self.bugs)
        await back.take(tuple(name for wave in waves for name in wave.hosts))

    def _say(self, event: WaveStarted | WaveEnded) -> None:
        """Tell of a wave; where everybody goes at once, there is nothing to tell."""
        if self._of > 1:
            self._emit(event)


def _failed(outcome: Outcome) -> Failed | RolledBack | None:
    return outcome if isinstance(outcome, Failed | RolledBack) else None


def _names(failed: dict[str, Failed | RolledBack]) -> str:
    """Name hosts and their steps, not too many of them."""
    named = [f"{name} ({outcome.problem.step})" for name, outcome in failed.items()]
    more = [] if len(named) <= 5 else [f"{len(named) - 5} more"]
    verb = "failed" if any(isinstance(one, Failed) for one in failed.values()) else "rolled back"
    return f"{', '.join(named[:5] + more)} {verb}"
