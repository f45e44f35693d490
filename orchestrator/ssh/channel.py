"""Commands over our sessions for whoever blocks: an event loop in a thread, and a channel on it.

Fabric blocks. Signals reach the main thread, as it expects; our sessions live in another one.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Self, TypeVar

from orchestrator.core.errors import StepError, UnreachableError
from orchestrator.core.executor import Running, Window

T = TypeVar("T")

Begin = Callable[[Window | None], AbstractAsyncContextManager[Running]]
"""Starts a command, in a terminal where there is one."""


class EventLoop:
    """An event loop in a thread of its own; at its end all that it does is cancelled."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._wait())

    async def _wait(self) -> None:
        await self._over.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.soon(self._over.set)
        self._thread.join()

    def soon(self, do: Callable[..., object], *arguments: object) -> None:
        """Have it do something without waiting for it."""
        self._loop.call_soon_threadsafe(do, *arguments)

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Have it work on something."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Have it do something and wait; what interrupts the waiting ends the work."""
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


class Channel:
    """What Fabric's runner asks of a channel of paramiko's, over a command of ours.

    Args:
        loop: Where our sessions live.
        begin: Starts the command.
    """

    def __init__(self, loop: EventLoop, begin: Begin) -> None:
        self._loop = loop
        self._begin = begin
        self._window: Window | None = None
        self._stack = AsyncExitStack()
        self._waiting: set[Future[bytes]] = set()
        self._closed = threading.Event()

    def get_pty(self, width: int, height: int) -> None:
        """Have the command run in a terminal."""
        self._window = Window(os.environ.get("TERM") or "dumb", width, height)

    def exec_command(self, _: str) -> None:
        """Start it: which one it is, ``begin`` knows."""
        begun = self._stack.enter_async_context(self._begin(self._window))
        self._running = self._loop.call(begun)
        self._ended = self._loop.submit(self._running.wait())

    def recv(self, size: int) -> bytes:
        """Read its standard output; nothing at the end, and once it is closed."""
        return self._read(self._running.read(size))

    def recv_stderr(self, size: int) -> bytes:
        """Read its standard error."""
        return self._read(self._running.read(size, stderr=True))

    def _read(self, work: Coroutine[Any, Any, bytes]) -> bytes:
        future = self._loop.submit(work)
        self._waiting.add(future)
        if self._closed.is_set():
            future.cancel()
        try:
            return future.result()
        except (CancelledError, UnreachableError):  # how it ended tells why
            return b""
        finally:
            self._waiting.discard(future)

    def sendall(self, data: bytes | str) -> None:
        """Have it read something; who writes waits while it reads nothing."""
        raw = data.encode() if isinstance(data, str) else data
        with contextlib.suppress(CancelledError, StepError):
            self._loop.call(self._running.write(raw))

    send = sendall

    def shutdown_write(self) -> None:
        """Have it see the end of its input."""
        self._loop.soon(self._running.write_eof)

    def ended(self, seconds: float) -> bool:
        """Wait for its end so long."""
        return bool(concurrent.futures.wait((self._ended,), seconds).done)

    def exit_status_ready(self) -> bool:
        """Whether it ended."""
        return self._ended.done()

    def recv_exit_status(self) -> int | None:
        """How it ended; ``None`` where it was left before.

        Raises:
            UnreachableError: The connection was lost.
        """
        try:
            return self._ended.result()
        except CancelledError:
            return None

    def resize_pty(self, width: int, height: int) -> None:
        """Say that the terminal has another size now."""
        self._loop.soon(self._running.resize, width, height)

    def close(self) -> None:
        """Leave it. Who reads sees the end: a host may keep a session open as long as it likes."""
        if self._closed.is_set():
            return
        self._closed.set()
        if hasattr(self, "_ended"):
            self._ended.cancel()
        for future in tuple(self._waiting):
            future.cancel()
        with contextlib.suppress(CancelledError, StepError):
            self._loop.call(self._stack.aclose())
