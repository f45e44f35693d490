"""Streams between this machine and a host that never end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest

from orchestrator.core.bounds import MIB
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor, Stream
from orchestrator.core.host import Cache
from orchestrator.core.store import OutPath
from orchestrator.deploy.copy.spool import Codec
from orchestrator.deploy.copy.stream import Sent, take_in
from orchestrator.host.scripts import fetch

OUT = OutPath(f"/nix/store/{'a' * 32}-nixos-system")
CACHE = Cache("c", url="http://cache.invalid", public_key="c:k")


class Endless:
    """A host whose answer to everything goes on and on."""

    def __init__(self, piece: bytes) -> None:
        self.piece = piece
        self.read_from = 0
        self.closed = False

    async def read(self, n: int) -> bytes:
        """Give the next piece."""
        await asyncio.sleep(0)
        self.read_from += len(self.piece)
        return self.piece[:n]

    def write(self, data: bytes) -> None:
        """Take anything."""

    async def drain(self) -> None:
        """Never be full."""

    def can_write_eof(self) -> bool:
        """Take the end, too."""
        return True

    def write_eof(self) -> None:
        """Take it."""

    @contextlib.asynccontextmanager
    async def open(self, _: Sequence[str]) -> AsyncIterator[Stream]:
        """Start a command."""
        try:
            yield Stream(cast(Any, self), self, cast(Any, None))
        finally:
            self.closed = True


async def _frames() -> AsyncIterator[bytes]:
    yield b"frame"


def test_a_host_that_talks_without_end_while_it_takes_paths_in() -> None:
    """A host that talks without end while it takes paths in is cut off with a sentence."""
    host = Endless(bytes(1 << 16))
    taking = take_in(cast(Executor, host), Codec.GZIP, _frames(), Sent(), lambda _: None)
    with pytest.raises(StepError, match="more than 16 MiB in answer to the copy"):
        asyncio.run(taking)
    assert host.closed
    assert host.read_from <= 17 * MIB


@pytest.mark.parametrize("piece", [bytes(1 << 16), b"\n" * (1 << 16)])
def test_a_host_that_talks_without_end_while_it_fetches(piece: bytes) -> None:
    """Whether it sends lines or never ends one; what is told has an end, too."""
    host = Endless(piece)
    longest = 0

    def on_line(line: bytes) -> None:
        nonlocal longest
        longest = max(longest, len(line))

    with pytest.raises(StepError, match=r"the host sent more than .* while it fetched"):
        asyncio.run(fetch(cast(Executor, host), OUT, CACHE, on_line))
    assert host.closed
    assert longest < 2 * MIB
