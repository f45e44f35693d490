"""What is ready is built in one ``nix build``."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from orchestrator.core.errors import StepError
from orchestrator.core.nix_settings import NixSettings
from orchestrator.core.process import how_it_ended
from orchestrator.core.store import Evaluated
from orchestrator.deploy.delivering.batches import Batches, Member, Ticket
from orchestrator.host.setup import Gates, Setup
from orchestrator.nix import closure, reasons
from orchestrator.nix.log import BuildLog, Failure, cause, readable
from orchestrator.ssh.said import nix_environment
from orchestrator.ssh.settings import SshSettings

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
        self._gate = gate
        self._batches: dict[tuple[str, ...], Batches[Evaluated]] = {}
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
        async with self._alike(member.settings).joined(wanted, member) as ticket:
            await ticket.started.wait()
            try:
                async with asyncio.timeout(deadline):
                    await self._built(ticket, root, member.settings)
            except TimeoutError:
                raise StepError(
                    f"the build did not end within {deadline:.0f} s",
                    hint="the inventory's `deadlines: {build: …}` gives it more",
                    command=closure.build_by_hand(wanted.drv, self._builders, member.settings),
                ) from None

    def _alike(self, settings: NixSettings) -> Batches[Evaluated]:
        """Those that are built with the same options."""
        if settings.building not in self._batches:
            work = partial(self._build, settings)
            self._batches[settings.building] = Batches(self._gate, work)
        return self._batches[settings.building]

    async def _built(self, ticket: Wish, root: Path, settings: NixSettings) -> None:
        wanted = ticket.wanted
        while not ticket.ended.is_set():
            stirred = ticket.stirred
            # While others are still being built: what is rooted now cannot be collected meanwhile.
            if await self.keep(wanted, root):
                return
            await stirred.wait()
        await ticket.result()
        if not await self.keep(wanted, root):
            raise StepError(
                "the build ended well, but what it built is not in the store",
                command=closure.build_by_hand(wanted.drv, self._builders, settings),
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

    async def _build(self, settings: NixSettings, tickets: Sequence[Wish]) -> Sequence[Wish]:
        """Build all at once; give back what failed and is not to blame."""
        self._announce(tickets)
        drvs = [ticket.wanted.drv for ticket in tickets]
        log = BuildLog(drvs)
        done = await closure.build(
            drvs,
            builders=self._builders,
            settings=settings,
            env=await nix_environment(self._ssh),
            on_stderr=partial(self._tell, log, settings, tickets),
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
            ticket.end(self._failed(ticket, Failure("", why, readable(done.err)), settings))
        return ()

    def _announce(self, tickets: Sequence[Wish]) -> None:
        number = next(self._numbers)
        names = sorted({member.name for ticket in tickets for member in ticket.members})
        for ticket in tickets:
            ticket.log(f"nix build {number}, for {', '.join(names)}")
            ticket.doing("building")

    def _tell(
        self, log: BuildLog, settings: NixSettings, tickets: Sequence[Wish], line: bytes
    ) -> None:
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
                ticket.end(self._failed(ticket, failure, settings))

    def _failed(self, ticket: Wish, failure: Failure, settings: NixSettings) -> StepError:
        drv = ticket.wanted.drv
        named = "" if failure.drv in ("", drv.path) else f"{failure.name} "
        why = reasons.reason(failure.log)
        hint = f"its whole log: nix log {failure.drv}" if failure.drv else None
        return StepError(
            f"build failed: {named}{(why and why.message) or failure.why}",
            hint=why.hint if why else hint,
            command=closure.build_by_hand(drv, self._builders, settings),
            stderr=failure.log,
        )
