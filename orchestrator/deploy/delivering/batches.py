"""What is wanted by several is collected, and done in one go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from orchestrator.core.interrupt import ended
from orchestrator.core.nix_settings import PLAIN, NixSettings

COLLECT_SECONDS = 0.03
"""How long the first of a batch waits for others: hosts that are asked together answer together."""

Wanted = TypeVar("Wanted", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Member:
    """A host that waits.

    Attributes:
        name: The host.
        log: Puts lines into its log.
        doing: Shows what is done for it.
        settings: What the inventory says to Nix of it.
    """

    name: str
    log: Callable[[str], None]
    doing: Callable[[str], None]
    settings: NixSettings = PLAIN


@dataclass(eq=False, slots=True)
class Ticket(Generic[Wanted]):
    """One thing that is wanted, by one host or several.

    Attributes:
        wanted: The thing.
        members: Who waits for it still.
        started: Set once it is being worked on.
        stirred: Set when it may have come to be there; each time there is a new one.
        error: Why there is none; known once ``ended`` is set.
    """

    wanted: Wanted
    members: list[Member] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None

    def end(self, error: Exception | None = None) -> None:
        """Tell all who wait that it is over; only the first end counts."""
        if not self.ended.is_set():
            self.error = error
            self.ended.set()
            self.stir()

    def stir(self) -> None:
        """Have all who wait look whether it is there."""
        self.stirred.set()
        self.stirred = asyncio.Event()

    async def result(self) -> None:
        """Wait for the end.

        Raises:
            Exception: What it ended with.
        """
        await self.ended.wait()
        if self.error is not None:
            # A copy: several hosts raise it, and each notes its own step in it.
            raise copy(self.error)

    def log(self, text: str) -> None:
        """Put lines into the log of all who wait."""
        for member in self.members:
            member.log(text)

    def doing(self, text: str) -> None:
        """Show all who wait what is done."""
        for member in self.members:
            member.doing(text)


@dataclass(eq=False, slots=True)
class _Batch(Generic[Wanted]):
    tickets: list[Ticket[Wanted]] = field(default_factory=list)
    task: asyncio.Task[None] | None = None


class Batches(Generic[Wanted]):
    """Collects what is wanted until there is a free slot, and has all of it done in one go.

    A host may leave at any time; work that nobody waits for any more is cancelled.

    Args:
        gate: The slots.
        work: Does all of a batch. It ends tickets as it goes; what it leaves open has succeeded,
            but for the tickets that it returns: those are done again, each alone.
    """

    def __init__(
        self,
        gate: asyncio.Semaphore,
        work: Callable[[Sequence[Ticket[Wanted]]], Awaitable[Sequence[Ticket[Wanted]]]],
    ) -> None:
        self._gate = gate
        self._work = work
        self._open: _Batch[Wanted] | None = None
        self._batches: dict[Ticket[Wanted], _Batch[Wanted]] = {}

    @contextlib.asynccontextmanager
    async def joined(self, wanted: Wanted, member: Member) -> AsyncIterator[Ticket[Wanted]]:
        """Wait among others for something, for as long as the context is open."""
        ticket = self._ticket(wanted)
        ticket.members.append(member)
        if self._gate.locked() and not ticket.started.is_set():
            member.doing("waiting for its turn")
        try:
            yield ticket
        finally:
            ticket.members.remove(member)
            await self._left(ticket)

    def _ticket(self, wanted: Wanted) -> Ticket[Wanted]:
        for ticket in self._batches:
            if ticket.wanted == wanted and not ticket.ended.is_set():
                return ticket
        if self._open is None:
            self._open = _Batch()
            self._open.task = asyncio.create_task(self._run(self._open))
        made = Ticket(wanted)
        self._open.tickets.append(made)
        self._batches[made] = self._open
        return made

    async def _left(self, ticket: Ticket[Wanted]) -> None:
        batch = self._batches.get(ticket)
        if batch is None:
            return
        if batch is self._open and not ticket.members:
            self._forget(ticket)
        if any(other.members for other in batch.tickets):
            return
        if batch is self._open:
            self._open = None
        assert batch.task is not None
        await ended(batch.task)

    def _forget(self, ticket: Ticket[Wanted]) -> None:
        """Let nobody join any more."""
        self._batches.pop(ticket).tickets.remove(ticket)

    async def _run(self, batch: _Batch[Wanted]) -> None:
        error = None
        try:
            await asyncio.sleep(COLLECT_SECONDS)
            async with self._gate:
                self._open = None
                await self._all(batch.tickets)
        except Exception as raised:
            error = raised
        finally:
            for ticket in list(batch.tickets):
                self._forget(ticket)
                ticket.end(error)

    async def _all(self, tickets: Sequence[Ticket[Wanted]]) -> None:
        for ticket in tickets:
            ticket.started.set()
        again = await self._work(tickets)
        for ticket in tickets:
            if ticket not in again:
                ticket.end()
        for ticket in again:
            if ticket.members:
                await self._work([ticket])
            ticket.end()
