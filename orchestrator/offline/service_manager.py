"""What a service tells systemd: sd_notify(3), a datagram to the socket that it names."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator


def notify(*lines: str) -> None:
    """Tell, such as ``READY=1``; where nobody asked, or nobody listens, nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # A name that begins with @ is in the abstract namespace: unix(7).
    name = f"\0{address[1:]}" if address.startswith("@") else address
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end,
    ):
        end.sendto("\n".join(lines).encode(), name)


def watchdog_seconds() -> float | None:
    """How often a sign of life is wanted at the least; ``None`` where none is."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = os.environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdecimal() and int(text) else None


@contextlib.asynccontextmanager
async def signs_of_life() -> AsyncIterator[None]:
    """Tell that this process is well, as often as it is wanted, while the context is open."""
    seconds = watchdog_seconds()
    task = None if seconds is None else asyncio.create_task(_beat(seconds / 2))
    try:
        yield
    finally:
        if task is not None:
            task.cancel()


async def _beat(seconds: float) -> None:
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(seconds)
