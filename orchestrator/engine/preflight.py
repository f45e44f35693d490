"""Before anything is copied to a host: does it have what a deployment takes?"""

from __future__ import annotations

from orchestrator.engine.line import Line
from orchestrator.engine.work import HostWork
from orchestrator.model.plan import HostPlan
from orchestrator.model.state import HostState


async def preflight(work: HostWork, plan: HostPlan, state: HostState, line: Line) -> None:
    """Check a host, in one question."""
