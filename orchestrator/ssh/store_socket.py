"""A host's Nix store on a local socket: each client gets a command of its own on the host."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from orchestrator.core.errors import StepError
from orchestrator.core.executor import Sink, Source, Stream
from orchestrator.core.machine import temporary
from orchestrator.ssh.lean import asyncssh

_CHUNK = 1 << 18
_BACKLOG = 8
_PAUSE = 0.1

Begin = Callable[[], AbstractAsyncContextManager[Stream]]
"""Starts the command that a client talks to."""


@contextlib.asynccontextmanager
async def served(begin: Begin) -> AsyncIterator[str]:
    """Serve what a command says on a local socket; gives the URL that Nix knows it by."""
    with (
        tempfile.TemporaryDirectory(prefix="orchestrator-", dir=temporary()) as folder,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        path = Path(folder, "nix.sock")
        listener.bind(str(path))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        accepting = asyncio.create_task(_accept(listener, begin))
        try:
            yield f"unix://{path}"
        finally:
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)


async def _accept(listener: socket.socket, begin: Begin) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as bridges:
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError:  # no file may be opened until another one is closed
                await asyncio.sleep(_PAUSE)
            else:
                bridges.create_task(_bridge(client, begin))


async def _bridge(client: socket.socket, begin: Begin) -> None:
    # A failure here closes the socket: its client, Nix, says what it was doing.
    with client, contextlib.suppress(OSError, asyncssh.Error, StepError):
        async with begin() as daemon:
            up = asyncio.create_task(_up(client, daemon.stdin))
            try:
                await _down(daemon.stdout, client)
            finally:
                up.cancel()
                await asyncio.gather(up, return_exceptions=True)


async def _up(client: socket.socket, sink: Sink) -> None:
    """Move bytes to the host: gigabytes, so that they are copied as seldom as can be.

    asyncio's streams copy them twice more, into memory that is new each time.
    """
    loop, room = asyncio.get_running_loop(), memoryview(bytearray(_CHUNK))
    while count := await loop.sock_recv_into(client, room):
        sink.write(room[:count])
        await sink.drain()
    sink.write_eof()


async def _down(source: Source, client: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while data := await source.read(_CHUNK):
        await loop.sock_sendall(client, data)
