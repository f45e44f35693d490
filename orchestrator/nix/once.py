"""Hosts that are one attribute of one flake are one evaluation."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from typing import TYPE_CHECKING, Any, TypeVar

from orchestrator.core.errors import StepError
from orchestrator.core.event import Phase

if TYPE_CHECKING:
    from orchestrator.nix.asker import Asker

T = TypeVar("T")


class Once:
    """What is found out once in a run, for the first host that asks, and told to all of them.

    Where the first one is interrupted, the next one finds it out.
    """

    def __init__(self) -> None:
        self._turns: defaultdict[Hashable, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._known: dict[Hashable, Any] = {}

    async def of(
        self,
        key: Hashable,
        find: Callable[[], Awaitable[T]],
        *,
        holds: Callable[[T], bool] = lambda _: True,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> T:
        """Find something out, unless somebody did in this run.

        Args:
            key: What is found out: all that it depends on, and with whom it is shared.
            find: Finds it out.
            holds: Whether what was found out still is so.
            waiting: Open while somebody else is finding it out.

        Raises:
            StepError: It cannot be found out; each who asks is told the same.
        """
        turn = self._turns[key]
        if turn.locked():
            with waiting():
                await turn.acquire()
        else:
            await turn.acquire()
        try:
            return await self._told(key, find, holds)
        finally:
            turn.release()

    async def _told(
        self, key: Hashable, find: Callable[[], Awaitable[T]], holds: Callable[[T], bool]
    ) -> T:
        match self._known.get(key):
            case StepError() as error:
                # A copy: each host notes its own step in it.
                raise copy(error)
            case found if found is not None and holds(found):
                known: T = found
                return known
        try:
            self._known[key] = made = await find()
        except StepError as error:
            self._known[key] = error
            raise
        return made


@contextmanager
def waiting(asker: Asker) -> Iterator[None]:
    """Show that a host waits for the evaluation of an equal one."""
    with asker.step(Phase.EVALUATE):
        asker.doing("with an equal host")
        yield
