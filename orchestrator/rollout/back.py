"""Take hosts back that a rollout deployed, because others failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from orchestrator.core.event import HostFinished, Notice
from orchestrator.core.outcome import (
    Deferred,
    Deployed,
    Failed,
    Outcome,
    Problem,
)
from orchestrator.core.store import OutPath
from orchestrator.host.setup import Emit
from orchestrator.rollout.rollout import Rollout


@dataclass(frozen=True, slots=True)
class Undo:
    """How a host's share of a run is undone; each says what became of the host.

    Attributes:
        withdraw: What waits for an absent host is taken away again.
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
        """Take those back that were deployed, all at once; what waits for absent ones is gone."""
        for name in names:
            if isinstance(self._rollout.outcomes[name], Deferred):
                self._ends(name, self._undo.withdraw(self._rollout.works[name], self._why))
        changed = {name: done for name in names if (done := self._changed(name)) is not None}
        if changed:
            self._emit(Notice(f"taking back {', '.join(changed)}: {self._why}", warning=True))
        async with asyncio.TaskGroup() as group:
            for name, outcome in changed.items():
                group.create_task(self._take_one(name, outcome.out_path), name=name)

    def _changed(self, name: str) -> Deployed | None:
        """The outcome of a host that was changed; one that was only booted anew was not."""
        outcome = self._rollout.outcomes[name]
        if isinstance(outcome, Deployed) and self._rollout.works[name].before is not None:
            return outcome
        return None

    async def _take_one(self, name: str, out: OutPath) -> None:
        outcome: Outcome
        try:
            outcome = await self._undo.roll_back(self._rollout.works[name], out, self._why)
        except Exception as bug:  # It must not cut off others that are being taken back.
            self._bugs.append(bug)
            message = f"a bug in the orchestrator: {type(bug).__name__}: {bug}"
            outcome = Failed(message, Problem("roll back", message, host_state="not known"), out)
        self._ends(name, outcome)

    def _ends(self, name: str, outcome: Outcome) -> None:
        """Take note of another end than the one that a host had."""
        self._rollout.finished(name, outcome)
        self._emit(HostFinished(name, outcome, self._rollout.works[name].seconds))
