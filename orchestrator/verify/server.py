"""The deployment's side of the socket: commands come in, the open connection runs them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from orchestrator.core.errors import OrchestratorError
from orchestrator.core.process import CommandResult
from orchestrator.verify import wire

_LONGEST = 1 << 20
"""Bytes of one request: Linux takes no longer command."""

RunCommand = Callable[[str], Awaitable[CommandResult]]
"""Runs a shell command on the host as root."""


@contextlib.asynccontextmanager
async def serve(run: RunCommand, folder: Path) -> AsyncIterator[Path]:
    """Listen on a unix socket until the block ends; what still runs then is cancelled.

    Args:
        run: Runs one command on the host. An ``OrchestratorError`` is told to the suite; anything
            else is a bug and is raised when the block ends.
        folder: A folder that nobody else may enter. Its path must be short: a unix socket's has at
            most 107 bytes (unix(7)).

    Yields:
        The socket's path.
    """
    path = folder / "host.sock"
    tasks: set[asyncio.Task[None]] = set()
    bugs: list[Exception] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await _answer(run, reader, writer)
        except Exception as bug:
            bugs.append(bug)
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_unix_server(talk, path)
    try:
        yield path
    finally:
        server.close()
        await _cancel(tasks)
        path.unlink(missing_ok=True)
    if bugs:
        raise bugs[0]


async def _answer(
    run: RunCommand, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    # The suite's process may end, or be ended, in the middle of a frame.
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            (length,) = wire.HEADER.unpack(await reader.readexactly(wire.HEADER.size))
            if length > _LONGEST:
                return
            request = wire.unpack(await reader.readexactly(length))
            parts: tuple[bytes, ...]
            try:
                parts = wire.from_result(await run(str(request["command"])))
            except OrchestratorError as error:
                parts = (wire.pack({"error": error.message}),)
            for part in parts:
                writer.write(part)
                await writer.drain()


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
