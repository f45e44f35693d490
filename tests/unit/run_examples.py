"""Runs as they leave their folders: ended, or cut off as by SIGKILL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.core.event import HostFinished, RunFinished, RunStarted
from orchestrator.core.rollout import RolloutStatus
from orchestrator.core.run import DeployRequest, HostResult, Report
from orchestrator.runs.journal import Journal
from orchestrator.runs.store import Runs


def begin(state: Path, request: DeployRequest | None = None) -> Journal:
    """Begin a run; it is alive until it is closed."""
    return Runs(state).begin("me@here", "abc", request or DeployRequest())


def leave(
    state: Path,
    hosts: Mapping[str, HostResult] | None = None,
    request: DeployRequest | None = None,
    status: RolloutStatus | None = None,
    *,
    interrupted: bool = False,
) -> int:
    """Make a run.

    Args:
        state: The fleet's state folder.
        hosts: How they ended; ``None``: the run was cut off before any host had.
        request: What it was asked for.
        status: Where its rollout was last.
        interrupted: Whether a person ended it.

    Returns:
        Its number.
    """
    asked = request or DeployRequest()
    with begin(state, asked) as journal:
        emit = journal.recording(lambda _: None)
        names = tuple(hosts or ())
        emit(RunStarted(journal.run, asked.goal, names, asked.plan_only, asked.waves))
        if status is not None:
            journal.write_status(status)
        for name, result in (hosts or {}).items():
            emit(HostFinished(name, result.outcome, result.seconds))
        if hosts is not None:
            run, goal, plan = journal.run, asked.goal, asked.plan_only
            report = Report(run, goal, plan, hosts, 4.0, interrupted, waves=asked.waves)
            emit(RunFinished(report))
    return journal.run.number
