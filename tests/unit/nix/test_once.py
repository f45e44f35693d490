"""What is found out once in a run is told to all who ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from orchestrator.core.errors import StepError
from orchestrator.nix.once import Once


class Finding:
    """Finds a number out, and counts how often."""

    def __init__(self, error: StepError | None = None) -> None:
        self.times = 0
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self._error = error

    async def __call__(self) -> int:
        """Count, and give the count."""
        self.times += 1
        times = self.times
        await self.goes_on.wait()
        await asyncio.sleep(0)
        if self._error is not None:
            raise self._error
        return times


def played(play: Callable[[Once], Awaitable[object]]) -> object:
    """What comes of a play."""

    async def all_of_it() -> object:
        return await play(Once())

    return asyncio.run(all_of_it())


def test_many_who_ask_at_once_are_told_what_was_found_once() -> None:
    """The first one finds it out, and the others wait for it."""
    waited: list[str] = []

    @contextmanager
    def waiting() -> Iterator[None]:
        waited.append("from")
        yield
        waited.append("to")

    async def play(once: Once) -> object:
        find = Finding()
        asked = (once.of("k", find, waiting=waiting) for _ in range(50))
        return [*await asyncio.gather(*asked), find.times]

    assert played(play) == [1] * 51
    assert (waited.count("from"), waited.count("to")) == (49, 49)


def test_another_key_is_found_out_by_itself() -> None:
    """Only what is the same in every respect is shared."""

    async def play(once: Once) -> object:
        find = Finding()
        return [await once.of(key, find) for key in ("a", "b", "a", ("a", "b"))]

    assert played(play) == [1, 2, 1, 3]


def test_an_error_is_told_to_each_in_a_copy() -> None:
    """Whoever is told may note a step of its own in it; nobody tries again."""

    async def play(once: Once) -> object:
        find = Finding(StepError("broken", hint="mend it"))
        asked = (once.of("k", find) for _ in range(3))
        return [*await asyncio.gather(*asked, return_exceptions=True), find.times]

    *errors, times = played(play)  # type: ignore[misc]
    assert [error.hint for error in errors] == ["mend it"] * 3
    assert len({id(error) for error in errors}) == 3
    assert times == 1


def test_the_next_one_goes_on_where_the_first_is_cut_off() -> None:
    """An interrupted host takes nothing away from those that wait with it."""

    async def play(once: Once) -> object:
        find = Finding()
        find.goes_on.clear()
        first = asyncio.create_task(once.of("k", find))
        second = asyncio.create_task(once.of("k", find))
        await asyncio.sleep(0)
        first.cancel()
        find.goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert played(play) == 2


def test_who_is_cut_off_while_it_waits_leaves_the_first_at_work() -> None:
    """A waiting host that leaves holds nobody up."""

    async def play(once: Once) -> object:
        find = Finding()
        find.goes_on.clear()
        first = asyncio.create_task(once.of("k", find))
        await asyncio.sleep(0)
        second = asyncio.create_task(once.of("k", find))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        find.goes_on.set()
        return [await first, await once.of("k", find)]

    assert played(play) == [1, 1]


def test_what_does_not_hold_any_more_is_found_out_again() -> None:
    """A derivation that was collected meanwhile is told to no later host."""

    async def play(once: Once) -> object:
        find = Finding()
        return [await once.of("k", find, holds=lambda found: found > 1) for _ in range(3)]

    assert played(play) == [1, 2, 2]
