"""A host's share of a run is undone, because others of its rollout failed."""

from __future__ import annotations

from orchestrator.core.outcome import (
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
from orchestrator.rollout.back import Undo


async def _roll_back(work: HostWork, out: OutPath, why: str) -> Outcome:
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


UNDO = Undo(withdraw, _roll_back)
