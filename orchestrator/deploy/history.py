"""What git says of the commits of one run: each question is asked once, however many hosts."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from orchestrator.changes.knowledge import KnownSystems
from orchestrator.core import git
from orchestrator.core.commit import MOST_BEFORE, Checkout, Kin
from orchestrator.core.host import Host
from orchestrator.host.setup import Setup, checkout_of


class History:
    """The commits of one run's fleet, and of flakes that hosts have of their own."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, ...], asyncio.Future[Any]] = {}

    async def kin(self, setup: Setup, host: Host, theirs: str, mine: str) -> Kin:
        """How two commits stand to each other.

        Args:
            setup: The fleet.
            host: Whose flake they are of.
            theirs: The id of the commit that a host has.
            mine: That of the one that would be deployed; empty where there is none.
        """
        folder = setup.flake.of(host).folder
        found: Kin = await self._once((folder, theirs, mine), _kin(folder, theirs, mine))
        return found

    async def checkout(self, setup: Setup, host: Host, revision: str) -> Checkout:
        """What is to be written down of where a commit is checked out here.

        Args:
            setup: The fleet.
            host: Whose flake it is of.
            revision: The commit's id; empty where there is none.
        """
        folder = setup.flake.of(host).folder
        asked = _checkout(checkout_of(setup.fleet), folder, revision)
        found: Checkout = await self._once((folder, revision), asked)
        return found

    async def _once(self, question: tuple[str, ...], asking: Coroutine[Any, Any, Any]) -> Any:
        if question in self._asked:
            asking.close()
        else:
            self._asked[question] = asyncio.ensure_future(asking)
        return await asyncio.shield(self._asked[question])  # a host that is stopped stops no other


async def revision_of(setup: Setup, known: KnownSystems, host: Host) -> str | None:
    """The commit that a host's configuration is of, ``-dirty`` appended where it is."""
    flake = setup.flake.of(host)
    found = await known.revision(host)
    return found if found or flake.reference != "." else await git.revision(flake.folder)


async def _kin(folder: str, theirs: str, mine: str) -> Kin:
    return Kin(
        *await asyncio.gather(
            git.commit(folder, theirs),
            git.commit(folder, mine),
            git.distance(folder, theirs, mine),
            git.is_shallow(folder),
        )
    )


async def _checkout(here: str, folder: str, revision: str) -> Checkout:
    if not revision:
        return Checkout(here)
    asked = git.commit(folder, revision), git.before(folder, revision, MOST_BEFORE)
    return Checkout.of(here, *await asyncio.gather(*asked))
