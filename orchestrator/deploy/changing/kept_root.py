"""A process of root's that is kept on a host: with its new system, nobody else may become root."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor, Running
from orchestrator.core.state import Attempt
from orchestrator.core.units import on_one_line
from orchestrator.deploy.work import HostWork
from orchestrator.host.guard import orders

_ANSWER = 64
"""Bytes that are read of an answer; it has fewer."""

_SECONDS = 10.0
"""For what it says in answer."""


class KeptRoot:
    """Passes on that the guard is to roll back."""

    def __init__(self, running: Running) -> None:
        self._running = running

    async def pass_on(self, why: str) -> bool:
        """Have the guard go back; whether it was passed on."""
        with contextlib.suppress(StepError, TimeoutError):
            await self._running.write(f"{on_one_line(why)}\n".encode())
            return await self.answers()
        return False

    async def answers(self) -> bool:
        """Whether it answers, which it does with a line.

        Raises:
            TimeoutError: It does not within its time.
            UnreachableError: The connection was lost.
        """
        async with asyncio.timeout(_SECONDS):
            return await self._running.read(_ANSWER) != b""


@contextlib.asynccontextmanager
async def kept_root(
    work: HostWork, executor: Executor, attempt: Attempt
) -> AsyncIterator[KeptRoot | None]:
    """Keep one while the context is open; ``None`` where there can be none, and on this machine.

    With the new system sudo may refuse the deployer, over the connection from before too.
    """
    async with contextlib.AsyncExitStack() as stack:
        root = None
        try:
            if attempt.over_ssh:
                root = await _begun(stack, executor, attempt.token)
        except (StepError, TimeoutError) as error:
            work.log(f"no process of root's is kept there: {error}")
            await stack.aclose()
        yield root


async def _begun(
    stack: contextlib.AsyncExitStack, executor: Executor, token: str
) -> KeptRoot | None:
    program = orders.program().encode()
    running = await stack.enter_async_context(
        executor.start(orders.passing_on(token, len(program)))
    )
    await running.write(program)
    root = KeptRoot(running)
    if not await root.answers():
        return None
    # sshd may allow one session a connection (MaxSessions): it is not for this one then.
    await executor.run(("true",), deadline=_SECONDS)
    return root
