"""Take hosts back that a rollout deployed, because others failed."""

from __future__ import annotations

import asyncio

from orchestrator.core.event import HostFinished, Notice
from orchestrator.core.outcome import (
    Deferred,
    Deployed,
    Failed,
    Outcome,
    Problem,
    RolledBack,
    Unchanged,
    Unreached,
)
from orchestrator.core.store import OutPath
from orchestrator.deploy.waiting import withdraw
from orchestrator.deploy.work import HostWork
from orchestrator.host.setup import Emit
from orchestrator.rollout.rollout import Rollout


class Back:
    """The way back of a rollout's hosts.

    Args:
        rollout: The rollout.
        why: Which hosts failed, for the outcomes.
        emit: Takes what happens.
        bugs: Takes bugs.
    """

    def __init__(self, rollout: Rollout, why: str, emit: Emit, bugs: list[Exception]) -> None:
        self._rollout = rollout
        self._why = why
        self._emit = emit
        self._bugs = bugs

    async def take(self, names: tuple[str, ...]) -> None:
        """Take those back that were deployed, all at once; what waits for absent ones is gone."""
        for name in names:
            if isinstance(self._rollout.outcomes[name], Deferred):
                self._ends(name, withdraw(self._rollout.works[name], self._why))
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
            outcome = await _back(self._rollout.works[name], out, self._why)
        except Exception as bug:  # It must not cut off others that are being taken back.
            self._bugs.append(bug)
            message = f"a bug in the orchestrator: {type(bug).__name__}: {bug}"
            outcome = Failed(message, Problem("roll back", message, host_state="not known"), out)
        self._ends(name, outcome)

    def _ends(self, name: str, outcome: Outcome) -> None:
        """Take note of another end than the one that a host had."""
        self._rollout.finished(name, outcome)
        self._emit(HostFinished(name, outcome, self._rollout.works[name].seconds))


async def _back(work: HostWork, out: OutPath, why: str) -> Outcome:
    # What goes back takes long to import; a run that goes well does without.
    from orchestrator.deploy.changing.rollback import roll_back

    before = work.before.running if work.before else None
    if before is None:
        message = f"to be taken back, but what it ran before is not known ({why})"
        problem = Problem("roll back", message, host_state=f"it runs {out.short}, deployed")
        return Failed(message, problem, out)
    outcome = await roll_back(work, out, before, why)
    match outcome:
        case Deployed() | Unchanged():
            problem = Problem(
                step="rollout",
                message=f"it was deployed, and taken back with others: {why}",
                hint=f"orchestrator deploy --retry-failed={work.session.run.number}",
                host_state=f"it runs {before.short} again, as before the run",
            )
            return RolledBack(f"taken back to {before.short}: {why}", before, problem)
        case (
            RolledBack(reason=reason, problem=problem) | Unreached(reason=reason, problem=problem)
        ):  # from the way back: it runs `out` again
            return Failed(f"not taken back: {reason}", problem, out)
        case _:
            return outcome
