"""The way to a host in this run: it may break, and is made again once for all who use it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from orchestrator.core.errors import SilentError, StepError, UnreachableError
from orchestrator.core.executor import Executor
from orchestrator.deploy.work import HostWork

T = TypeVar("T")

RECONNECT_SECONDS = 1.0
"""Between the first two tries to reach a host again; each later pause is longer by this."""

LONGEST_PAUSE = 30.0
"""Between two tries at the most."""

SILENT_PAUSE = 120.0
"""Between two tries at the most, where the host took connections and did not speak.

It meets all of them at once when it goes on, and OpenSSH refuses an address for a while that often
came and did not log in: ``PerSourcePenalties`` in sshd_config(5), from 15 tries on. Doubled pauses
are fewer tries than that in a quarter of an hour.
"""

SHORT_SECONDS = 30.0
"""For a command on the host that does nothing slow."""


class HostSession:
    """The present connection to a host.

    Connections that were replaced stay open until the run is done with the host: one that was
    made before the host was changed may be the last way in.

    Attributes:
        executor: The connection in use.
    """

    def __init__(
        self, work: HostWork, executor: Executor, stack: contextlib.AsyncExitStack
    ) -> None:
        self.executor = executor
        self._work = work
        self._stack = stack
        self._renewing = asyncio.Lock()
        self._tries = 0
        self._tried = 0.0
        self._silence: SilentError | None = None

    async def ask(self, question: Callable[[Executor], Awaitable[T]]) -> T:
        """Ask something that may be asked twice; a connection that is lost meanwhile is made again.

        Raises:
            StepError: As the question does, and as :meth:`renew`.
        """
        executor = self.executor
        try:
            return await question(executor)
        except UnreachableError:
            await self.replace(executor, self._work.host.deadlines.connect)
            return await question(self.executor)

    async def alive(self) -> None:
        """Make a new connection only where the open one is gone.

        Raises:
            StepError: As :meth:`renew`.
        """
        executor = self.executor
        try:
            await executor.run(("true",), deadline=SHORT_SECONDS)
        except StepError:
            await self.replace(executor, self._work.host.deadlines.connect)

    async def replace(self, lost: Executor, seconds: float) -> None:
        """Make a new connection, unless another who met the lost one has done so meanwhile.

        Raises:
            StepError: As :meth:`renew`.
        """
        async with self._renewing:
            if self.executor is lost:
                await self.renew(seconds)

    async def renew(self, seconds: float) -> None:
        """Make a new connection, trying until the time is up; the old one then is not used.

        Raises:
            UnreachableError: The host did not answer in that time.
            StepError: It answered, and refused the login or showed another key.
        """
        clock = asyncio.get_running_loop()
        deadline = clock.time() + seconds
        while True:
            await self._pause(deadline)
            try:
                self.executor = await self._try()
            except UnreachableError:
                if clock.time() + RECONNECT_SECONDS > deadline:
                    raise
            else:
                return

    async def _pause(self, deadline: float) -> None:
        """Let some time pass since the last try that failed.

        Some is left for the next one, but where the host is silent: then none is due.

        Raises:
            SilentError: The time is up before the next one is due.
        """
        now = asyncio.get_running_loop().time()
        if self._silence is None:
            due = self._tried + min(self._tries * RECONNECT_SECONDS, LONGEST_PAUSE)
            await asyncio.sleep(max(0.0, min(due - now, (deadline - now) / 2)))
            return
        due = self._tried + min(RECONNECT_SECONDS * 2**self._tries, SILENT_PAUSE)
        await asyncio.sleep(max(0.0, min(due, deadline) - now))
        if due > deadline:
            raise self._silence

    async def _try(self) -> Executor:
        try:
            executor = await self._work.connect(self._stack)
        except StepError as error:
            self._tries += 1
            self._silence = error if isinstance(error, SilentError) else None
            self._tried = asyncio.get_running_loop().time()
            raise
        self._tries, self._silence = 0, None
        return executor
