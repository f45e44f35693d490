"""What is ready is collected and built in one go."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from orchestrator.core.errors import StepError
from orchestrator.core.interrupt import ended
from orchestrator.core.process import how_it_ended
from orchestrator.core.store import Evaluated
from orchestrator.host.setup import Gates, Setup
from orchestrator.nix import closure
from orchestrator.nix.log import BuildLog, Failure, cause
from orchestrator.ssh.said import nix_environment
from orchestrator.ssh.settings import SshSettings

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
    """

    name: str
    log: Callable[[str], None]
    doing: Callable[[str], None]


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


_CHECKS = 4
"""How many looks into the store may be under way: each is a short process."""

Wish = Ticket[Evaluated]


class Builds:
    """The builds of one run.

    Nix's scheduler knows all that is built at once, shares what several systems need, and keeps
    to ``max-jobs`` over them. A host is done with as soon as its own system is there, or cannot be.

    Args:
        gate: How many ``nix build`` may be under way.
        builders: In place of those that Nix is set to use; nix.conf(5), ``builders``.
        ssh: How Nix's own ssh reaches the builders.
    """

    def __init__(
        self, gate: asyncio.Semaphore, builders: Sequence[str] = (), ssh: SshSettings | None = None
    ) -> None:
        self._builders = tuple(builders)
        self._ssh = ssh
        self._batches: Batches[Evaluated] = Batches(gate, self._build)
        self._checks = asyncio.Semaphore(_CHECKS)
        self._numbers = itertools.count(1)

    @classmethod
    def of(cls, setup: Setup, gates: Gates) -> Builds:
        """Make the one of a run."""
        return cls(gates.builds, setup.fleet.builders, setup.ssh)

    async def build(
        self, wanted: Evaluated, *, root: Path, deadline: float, member: Member
    ) -> None:
        """Build a system, unless it is there, and keep it from garbage collection.

        Args:
            wanted: The system.
            root: The symbolic link that keeps it.
            deadline: Seconds from the moment that it is being built; waiting for a turn is free.
            member: The host.

        Raises:
            StepError: It does not build, or not in time.
        """
        if await self.keep(wanted, root):
            return
        async with self._batches.joined(wanted, member) as ticket:
            await ticket.started.wait()
            try:
                async with asyncio.timeout(deadline):
                    await self._built(ticket, root)
            except TimeoutError:
                raise StepError(
                    f"the build did not end within {deadline:.0f} s",
                    hint="the inventory's `deadlines: {build: …}` gives it more",
                    command=closure.build_by_hand(wanted.drv, self._builders),
                ) from None

    async def _built(self, ticket: Wish, root: Path) -> None:
        while not ticket.ended.is_set():
            stirred = ticket.stirred
            # While others are still being built: what is rooted now cannot be collected meanwhile.
            if await self.keep(ticket.wanted, root):
                return
            await stirred.wait()
        await ticket.result()
        if not await self.keep(ticket.wanted, root):
            raise StepError(
                "the build ended well, but what it built is not in the store",
                command=closure.build_by_hand(ticket.wanted.drv, self._builders),
            )

    async def keep(self, wanted: Evaluated, root: Path) -> bool:
        """Keep a system from garbage collection by a link to it, where it is built.

        Returns:
            Whether it is.

        Raises:
            StepError: It is, and the link could not be made.
        """
        async with self._checks:
            return await closure.keep(wanted.out, root)

    async def keep_unbuilt(self, wanted: Evaluated, root: Path) -> None:
        """Keep what a system is built from, where that is done elsewhere.

        Raises:
            StepError: The link could not be made.
        """
        async with self._checks:
            await closure.keep_derivation(wanted.drv, root)

    async def _build(self, tickets: Sequence[Wish]) -> Sequence[Wish]:
        """Build all at once; give back what failed and is not to blame."""
        self._announce(tickets)
        drvs = [ticket.wanted.drv for ticket in tickets]
        log = BuildLog(drvs)
        done = await closure.build(
            drvs,
            builders=self._builders,
            env=await nix_environment(self._ssh),
            on_stderr=partial(self._tell, log, tickets),
        )
        if done.rc == 0:
            return ()
        missing = await closure.invalid([ticket.wanted.out for ticket in tickets])
        left = [
            ticket
            for ticket in tickets
            if ticket.wanted.out in missing and not ticket.ended.is_set()
        ]
        if len(tickets) > 1:
            return left
        for ticket in left:
            why = cause(done.err) or how_it_ended(done.rc)
            ticket.end(self._failed(ticket, Failure("", why, done.err)))
        return ()

    def _announce(self, tickets: Sequence[Wish]) -> None:
        number = next(self._numbers)
        names = sorted({member.name for ticket in tickets for member in ticket.members})
        for ticket in tickets:
            ticket.log(f"nix build {number}, for {', '.join(names)}")
            ticket.doing("building")

    def _tell(self, log: BuildLog, tickets: Sequence[Wish], line: bytes) -> None:
        said = log.read(line)
        for ticket in tickets:
            drv = ticket.wanted.drv
            if not log.concerns(said, drv):
                continue
            if said.text:
                ticket.log(said.text)
            if said.doing:
                count = f" ({log.count(drv)})" if said.drv else ""
                ticket.doing(f"{said.doing}{count}")
            if said.built:
                ticket.stir()
            if said.failed and (failure := log.failure_of(drv)):
                ticket.end(self._failed(ticket, failure))

    def _failed(self, ticket: Wish, failure: Failure) -> StepError:
        drv = ticket.wanted.drv
        named = "" if failure.drv in ("", drv.path) else f"{failure.name} "
        return StepError(
            f"build failed: {named}{failure.why}",
            hint=f"its whole log: nix log {failure.drv}" if failure.drv else None,
            command=closure.build_by_hand(drv, self._builders),
            stderr=failure.log,
        )
