"""Measure a link by sending bytes that nobody needs, for as short a time as tells something."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime

from orchestrator.core.copying import Sample
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor, Stream
from orchestrator.host import scripts

ENOUGH = 0.05
"""Seconds of sending, beyond a round trip, that tell the rate."""
SMALLEST = 1 << 16
LARGEST = 1 << 23
REPEATS = 2
_DEADLINE = 20.0


async def probe(executor: Executor, *, at_most: int = LARGEST) -> Sample:
    """Measure a host's link: four times as many bytes each time, until that takes a while.

    Args:
        executor: The way to the host.
        at_most: Bytes to send at a time.

    Raises:
        StepError: The host did not answer in time.
        UnreachableError: The connection was lost.
    """
    try:
        async with (
            asyncio.timeout(_DEADLINE),
            executor.open(scripts.script(scripts.SWALLOW)) as host,
        ):
            await _swallowed(host, 1)  # the shell is there now
            round_trip = min([await _swallowed(host, 1) for _ in range(2)])
            size = SMALLEST
            while (took := await _swallowed(host, size)) - round_trip < ENOUGH:
                if size * 4 > min(at_most, LARGEST):
                    break
                size *= 4
            # The best of several: what else the machines do is not the link.
            took = min([took, *[await _swallowed(host, size) for _ in range(REPEATS)]])
    except TimeoutError:
        raise StepError("the link to the host could not be measured") from None
    return Sample(datetime.now(UTC), None, 0, size, max(took - round_trip, 1e-4), round_trip)


async def _swallowed(host: Stream, size: int) -> float:
    """Seconds until the host has so many bytes and says so."""
    data = f"{size}\n".encode() + os.urandom(size)
    began = time.perf_counter()
    host.stdin.write(data)
    await host.stdin.drain()
    while (said := await host.stdout.read(1)) not in (b"", b"."):
        pass
    if not said:
        raise StepError("the host's shell ended while the link was measured")
    return time.perf_counter() - began
