"""Caches are filled from here: each system once, however many hosts fetch it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial

from orchestrator.core.errors import StepError
from orchestrator.core.host import Cache
from orchestrator.core.store import OutPath
from orchestrator.deploy.delivering.batches import Batches, Member, Ticket
from orchestrator.host.setup import Setup
from orchestrator.nix import binary_cache
from orchestrator.nix import log as nix_log
from orchestrator.ssh.said import nix_environment
from orchestrator.ssh.settings import SshSettings


class Pushes:
    """What is copied from here to the caches, in one run: each system once.

    One copy at a time for each cache, with all that is ready: what systems share is sent once.

    Args:
        ssh: How Nix's own ssh reaches a cache.
    """

    def __init__(self, ssh: SshSettings | None = None) -> None:
        self._ssh = ssh
        self._batches: dict[Cache, Batches[OutPath]] = {}
        self._pushed: set[tuple[Cache, OutPath]] = set()

    @classmethod
    def of(cls, setup: Setup) -> Pushes:
        """Make the one of a run."""
        return cls(setup.ssh)

    async def push(self, cache: Cache, out: OutPath, *, deadline: float, member: Member) -> None:
        """Have a cache hold a system, signed where its key is here.

        Args:
            cache: The cache.
            out: The system; it is in the store here.
            deadline: Seconds from the moment that it is copied; waiting for a turn is free.
            member: The host that is to fetch it.

        Raises:
            StepError: The cache was not filled, or not in time.
        """
        if (cache, out) in self._pushed:
            return
        if cache not in self._batches:
            self._batches[cache] = Batches(asyncio.Semaphore(1), partial(self._push, cache))
        async with self._batches[cache].joined(out, member) as ticket:
            await ticket.started.wait()
            async with in_time(cache, "filling", deadline):
                await ticket.result()

    async def _push(self, cache: Cache, tickets: Sequence[Ticket[OutPath]]) -> tuple[()]:
        outs = [ticket.wanted for ticket in tickets]
        names = sorted({member.name for ticket in tickets for member in ticket.members})

        def on_line(line: bytes) -> None:
            for ticket in tickets:
                if text := nix_log.text(line):
                    ticket.log(text)
                if doing := nix_log.progress(line):
                    ticket.doing(f"to the cache {cache.name}: {doing}")

        for ticket in tickets:
            ticket.log(f"filling the cache {cache.name}, for {', '.join(names)}")
            ticket.doing(f"filling the cache {cache.name}")
        if cache.secret_key is not None:
            await binary_cache.sign(outs, cache)
        await binary_cache.push(
            outs, cache, env=await nix_environment(self._ssh), on_stderr=on_line
        )
        self._pushed.update((cache, out) for out in outs)
        return ()


@contextlib.asynccontextmanager
async def in_time(cache: Cache, what: str, deadline: float) -> AsyncIterator[None]:
    """Give up what is done with a cache at its deadline.

    Raises:
        StepError: The deadline, in seconds, has passed.
    """
    try:
        async with asyncio.timeout(deadline):
            yield
    except TimeoutError:
        raise StepError(
            f"{what} the cache {cache.name!r} took more than {deadline:.0f} s",
            hint="what came whole is kept, and the next try goes on; "
            "`deadlines: {copy: …}` in the inventory gives it longer",
        ) from None
