"""The way to a host in this run: it may break, and is made anew once for all who use it."""

from __future__ import annotations

import asyncio
import contextlib

from orchestrator.adapters.executor import Executor
from orchestrator.engine.work import HostWork
from orchestrator.errors import StepError, UnreachableError

RECONNECT_SECONDS = 1.0
"""Between two tries to reach a host again."""

SHORT_SECONDS = 30.0
"""For a command on the host that does nothing slow."""


class Line:
    """The present connection to a host.

    Attributes:
        executor: The connection in use.
    """

    def __init__(
        self, work: HostWork, executor: Executor, stack: contextlib.AsyncExitStack
    ) -> None:
        self.executor = executor
        self._work = work
        self._stack = stack

    async def alive(self) -> None:
        """Make a new connection only where the open one is gone: it may be the last way in.

        Raises:
            StepError: As :meth:`renew`.
        """
        try:
            await self.executor.run(("true",), deadline=SHORT_SECONDS)
        except StepError:
            await self.renew(self._work.host.deadlines.connect)

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
