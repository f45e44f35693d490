"""Caches that are filled from here, and whether they answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial

from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.host import Cache, Fleet
from orchestrator.core.store import OutPath
from orchestrator.deploy.delivering.batches import Batches, Member, Ticket
from orchestrator.host.setup import Setup
from orchestrator.inventory.select import select
from orchestrator.nix import closure
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
            await closure.sign(outs, cache)
        await closure.push(outs, cache, env=await nix_environment(self._ssh), on_stderr=on_line)
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


async def require_caches(setup: Setup, selectors: Sequence[str]) -> None:
    """Refuse unless every cache answers: those that Nix would ask, and those of the inventory.

    Args:
        setup: The fleet, and how it is reached.
        selectors: The hosts that are meant; a cache counts where one of them fetches from it.

    Raises:
        UsageError: A selector matches nothing.
        RefusedError: A cache does not answer, or there is none.
    """
    stores = dict.fromkeys([*await closure.substituters(), *_stores(setup.fleet, selectors)])
    if not stores:
        raise RefusedError(
            "no binary cache is configured",
            hint="set `substituters` in nix.conf, or leave --check-caches out",
        )
    env = await nix_environment(setup.ssh)
    answers = await asyncio.gather(*(closure.answers(store, env) for store in stores))
    silent = [store for store, answer in zip(stores, answers, strict=True) if not answer]
    if silent:
        raise RefusedError(
            f"these binary caches do not answer: {', '.join(silent)}",
            hint="is the cache host up? deploy without it: leave --check-caches out",
            command=f"nix store info --store {silent[0]}",
        )


def _stores(fleet: Fleet, selectors: Sequence[str]) -> list[str]:
    """As this machine sees them: where it copies to, else where hosts fetch."""
    names = {host.substitute for host in select(fleet, selectors)}
    return [cache.push or cache.url for name, cache in fleet.caches.items() if name in names]
