"""The rollout of one run: divided, led, listening, and told of in the run's folder."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.core.event import Notice
from orchestrator.core.host import Fleet, Host
from orchestrator.core.interrupt import Interrupt
from orchestrator.core.rollout import RolloutPolicy, Wave
from orchestrator.core.run import DeployRequest, HostResult, Run
from orchestrator.host.setup import Emit
from orchestrator.rollout.back import Undo
from orchestrator.rollout.control import Control
from orchestrator.rollout.lead import Lead
from orchestrator.rollout.rollout import Rollout
from orchestrator.rollout.waves import waves
from orchestrator.runs import request_file
from orchestrator.runs.run_files import RunFiles

Bugs = list[Exception]


def divide(
    fleet: Fleet, hosts: Sequence[Host], request: DeployRequest
) -> tuple[RolloutPolicy, tuple[Wave, ...]]:
    """Find how a run goes over its hosts.

    What the fleet says holds for ordinary deployments: in an emergency, on the way back, and where
    hosts come back that were absent, everybody goes at once; and where no host is changed.

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
        run: The run.
        token: Names it on hosts.
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
        run: Run,
        token: str,
        request: DeployRequest,
        policy: RolloutPolicy,
        divided: tuple[Wave, ...],
        undo: Undo,
        interrupt: Interrupt,
        emit: Emit,
    ) -> None:
        self._run = run
        self._token = token
        self._request = request
        self._emit = emit
        self._files = RunFiles(Path(run.folder))
        self._control = Control(self._files, run.number, emit)
        if request.plan_only:
            self.rollout = Rollout()
        else:
            self.rollout = Rollout(divided, self._control.changed)
        self._lead = Lead(self.rollout, policy, undo, interrupt, emit)
        self._kept = replace(request, rollout=policy), divided

    @contextlib.asynccontextmanager
    async def led(self, bugs: Bugs) -> AsyncIterator[None]:
        """Lead it while the context is open, and to its end; what is a bug goes to ``bugs``."""
        if self._request.plan_only:
            yield
            return
        with contextlib.ExitStack() as stack:
            self._show(stack)
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

    def _show(self, stack: contextlib.ExitStack) -> None:
        """Show that this run lives, and what it was asked for; a full disk must not stop it."""
        try:
            stack.enter_context(self._files.living(self._token))
            request_file.keep(self._run, *self._kept)
        except OSError as error:
            text = f"other terminals and `resume` will not know of this run: {error}"
            self._emit(Notice(text, warning=True))

    async def _or_bug(self, work: Coroutine[None, None, None], bugs: Bugs) -> None:
        """Its bug must not cut off hosts that are being changed; no further one is begun."""
        try:
            await work
        except Exception as bug:
            bugs.append(bug)
            self.rollout.halt(f"a bug in the orchestrator: {type(bug).__name__}: {bug}")
