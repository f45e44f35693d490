"""Decide how a host gets back to a system that was built before."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from orchestrator.model.goal import Goal
from orchestrator.model.host import Host
from orchestrator.model.outcome import Unchanged
from orchestrator.model.plan import HostPlan, Step
from orchestrator.model.state import HostState
from orchestrator.model.store import Existing, OutPath
from orchestrator.plan.decide import decide


def plan_back(
    host: Host,
    to: OutPath,
    state: HostState,
    *,
    now: datetime,
    verify: bool = True,
    copy: bool = False,
) -> Unchanged | HostPlan:
    """Plan a deployment of a system that is there: there is nothing to evaluate or build.

    Args:
        host: The host.
        to: The system to go back to.
        state: What the host says of itself.
        now: For saying how long ago the host was deployed.
        verify: Whether verification is wanted.
        copy: Whether the host has the system no more, and it is copied from here.
    """
    plan = decide(host, Goal.SWITCH, Existing(to), state, now=now, verify=verify)
    if isinstance(plan, Unchanged):
        return plan
    left_out = {Step.BUILD} if copy else {Step.BUILD, Step.COPY}
    return replace(plan, steps=tuple(step for step in plan.steps if step not in left_out))
