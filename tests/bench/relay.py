"""A slow link: a TCP relay that delays every byte and lets only so many through a second.

It needs no ``netem``. What it leaves out is TCP's own behaviour on such a link: slow start, loss.
Run it by itself (``python relay.py HOST PORT --delay 25 --mbit 100``): it prints its own port.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
from dataclasses import dataclass

_CHUNK = 1 << 14
_ROOM = 1 << 18
"""Bytes that may wait in the relay beyond those that are on their way."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the link is like, in each direction.

    Attributes:
        delay: Seconds from end to end.
        rate: Bytes a second; ``None`` for as many as come.
    """

    delay: float = 0.0
    rate: float | None = None

    @property
    def under_way(self) -> float:
        """Bytes that the link holds, and some that wait before it."""
        return self.delay * (self.rate or 125e6) + _ROOM


class _Direction:
    """Bytes from one end to the other, in order, each not before its time."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._free_at = 0.0
        self._held = 0
        self._queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self._less = asyncio.Event()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry until the sender ends, then tell the receiver."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take(reader))
            group.create_task(self._give(writer))

    async def _take(self, reader: asyncio.StreamReader) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            data = await reader.read(_CHUNK)
            took = len(data) / self._shape.rate if self._shape.rate else 0.0
            self._free_at = max(clock(), self._free_at) + took
            self._queue.put_nowait((self._free_at + self._shape.delay, data))
            self._held += len(data)
            if not data:
                return
            while self._held > self._shape.under_way:
                self._less.clear()
                await self._less.wait()

    async def _give(self, writer: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due, data = await self._queue.get()
            if (early := due - clock()) > 0:
                await asyncio.sleep(early)
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()
            self._held -= len(data)
            self._less.set()


async def serve(host: str, port: int, shape: Shape, listen: str = "127.0.0.1") -> asyncio.Server:
    """Relay connections to a port; the server's own port is its first socket's."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ExceptionGroup):
            there_reader, there_writer = await asyncio.open_connection(host, port)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_Direction(shape).carry(reader, there_writer))
                    group.create_task(_Direction(shape).carry(there_reader, writer))
            finally:
                there_writer.close()
        writer.close()

    # A small buffer: bytes are to wait at their sender, as they do before a slow link.
    end = socket.create_server((listen, 0))
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
    return await asyncio.start_server(accept, sock=end)


async def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--listen", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--delay", type=float, default=0.0, help="milliseconds each way")
    parser.add_argument("--mbit", type=float, help="megabits a second each way")
    given = parser.parse_args()
    shape = Shape(given.delay / 1000, given.mbit * 125_000 if given.mbit else None)
    async with await serve(given.host, given.port, shape, given.listen) as server:
        print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main())
