"""What is to be true of a host before it is committed: its suites pass, its services stay up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from orchestrator.core.errors import UnreachableError
from orchestrator.core.event import Phase
from orchestrator.core.process import CommandResult
from orchestrator.deploy.changing.session import HostSession
from orchestrator.deploy.work import HostWork
from orchestrator.host.restarts import WATCH_SECONDS, Counts, unsteady
from orchestrator.verify import run


async def verify(work: HostWork, line: HostSession) -> None:
    """Run a host's suites; a person's wish to stop ends them.

    Raises:
        StepError: A check failed, or none ran.
        InterruptedStepError: A person asked to stop.
    """
    host, session = work.host, work.session
    if not host.verify.suites:
        work.notice("not verified: the inventory names no suite for it", warning=True)
        await settle(work)
        return

    async def on_host(command: str) -> CommandResult:
        seconds = host.deadlines.verify
        # sshd ends no command when its session is closed: it is given an end of its own there.
        argv = ("timeout", "--kill-after=5", f"{seconds:.0f}", "/bin/sh", "-c", command)
        executor = line.executor
        try:
            return await executor.run(argv, deadline=seconds)
        except UnreachableError:
            # A check that is tried again finds a connection.
            await line.replace(executor, host.deadlines.connect)
            raise

    root = Path(session.setup.fleet.root)
    folder = Path(session.run.folder)
    async with work.turn(Phase.VERIFY, session.gates.verifications):
        result = await session.interrupt.unless_wished(
            run.verify(
                host,
                [root / suite for suite in host.verify.suites],
                on_host,
                folder=folder,
                junit=folder / f"junit-{host.name}.xml",
                log=work.log,
                root=root,
            )
        )
        if not result.ok:
            error = result.error()
            error.message = f"verification failed: {error.message}"
            raise error
        for check in result.flapped:
            work.notice(f"{check} passed only when it was tried again", warning=True)
        work.log(f"verified: {result.summary}")


async def settle(work: HostWork) -> None:
    """Give a host that is not verified the time in which its units may come to fail.

    Raises:
        InterruptedStepError: A person asked to stop.
    """
    with work.step(Phase.PROVE):
        await work.session.interrupt.unless_wished(asyncio.sleep(work.host.verify.settle))


async def unsteady_services(
    work: HostWork, ask: Callable[[], Awaitable[Counts]], before: Counts, left: float
) -> Counts:
    """Find services that die and are started again, which systemd calls active.

    Args:
        work: The host's share of the run.
        ask: Asks the host.
        before: Which had died before the host was changed.
        left: Seconds that the guard waits yet: no more than most of that is taken.

    Raises:
        StepError: The host did not answer.
    """
    steady = min(work.host.guard.steady, left / 4)
    seconds = min(WATCH_SECONDS, left / 2)
    return await unsteady(ask, before, steady=steady, seconds=seconds)
