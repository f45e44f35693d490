"""The line to a host that is being changed: it may break, and the work there goes on."""

from __future__ import annotations

import asyncio
import contextlib

from orchestrator.adapters.executor import Executor
from orchestrator.adapters.host import unit
from orchestrator.adapters.host.unit import UnitResult, Work
from orchestrator.engine.work import HostWork
from orchestrator.errors import StepError, UnreachableError
from orchestrator.model.store import OutPath

RECONNECT_SECONDS = 1.0
"""Between two tries to reach a host again."""

SHORT_SECONDS = 30.0
"""For a command on the host that does nothing slow."""


class Lifeline:
    """Has work done in units on a host, and follows it over as many connections as it takes.

    Attributes:
        executor: The connection in use.
        unit: The unit whose end was not seen yet.
    """

    def __init__(
        self, work: HostWork, executor: Executor, stack: contextlib.AsyncExitStack
    ) -> None:
        self.executor = executor
        self.unit: str | None = None
        self._work = work
        self._stack = stack

    async def do(
        self, action: str, script: str, arguments: tuple[str, ...], *, keep: OutPath
    ) -> UnitResult:
        """Have a script run in a unit of its own, and see it end although the line may break.

        Args:
            action: A word for the unit's name.
            script: One of :mod:`orchestrator.adapters.host.scripts`.
            arguments: The script's.
            keep: A system that is kept from garbage collection meanwhile.

        Raises:
            UnreachableError: The host was not reached again before the deadline.
            StepError: The unit could not be started, or did not end before the deadline.
        """
        name = f"orchestrator-{self._work.session.token}-{action}"
        deadline = asyncio.get_running_loop().time() + self._work.host.deadlines.activate
        self.unit = name
        with contextlib.suppress(UnreachableError):
            # Whether it started is then asked over a new connection.
            job = Work(name, action, script, arguments, keep)
            await unit.start(self.executor, job, SHORT_SECONDS)
        result = await self._wait(name, deadline)
        self.unit = None
        self._work.log(result.log)
        if result.began:
            with contextlib.suppress(StepError):
                await unit.forget(self.executor, name, SHORT_SECONDS)
        return result

    async def stop_unit(self) -> None:
        """End the unit whose end was not seen, where there is one."""
        if self.unit is not None:
            await unit.stop(self.executor, self.unit, self._work.host.deadlines.activate)

    async def keep(self) -> None:
        """Make a new connection only where the open one is gone: it may be the last way in."""
        try:
            await self.executor.run(("true",), deadline=SHORT_SECONDS)
        except StepError:
            await self.renew(self._work.host.deadlines.activate)

    async def renew(self, seconds: float) -> None:
        """Make a new connection, trying until the time is up.

        Raises:
            UnreachableError: The host did not answer in that time.
            StepError: It answered, and refused the login or showed another key.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            try:
                self.executor = await self._work.connect(self._stack)
            except UnreachableError:
                if asyncio.get_running_loop().time() + RECONNECT_SECONDS > deadline:
                    raise
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                return

    async def _wait(self, name: str, deadline: float) -> UnitResult:
        clock = asyncio.get_running_loop()
        while True:
            left = deadline - clock.time()
            if left <= 0:
                raise StepError(
                    f"{name} did not end within {self._work.host.deadlines.activate:.0f} s",
                    command=self.executor.repeat(("systemctl", "status", name)),
                )
            try:
                return await unit.wait(self.executor, name, left)
            except UnreachableError as error:
                self._work.log(f"{error.message}; asking again")
                await asyncio.sleep(RECONNECT_SECONDS)
                await self.renew(deadline - clock.time())
