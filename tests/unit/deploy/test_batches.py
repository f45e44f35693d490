"""What is ready is collected, done at once, and each host goes its own way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from orchestrator.core.errors import StepError
from orchestrator.deploy.delivering.batches import Batches, Member, Ticket


class Worker:
    """Notes each batch, and works until it is let go.

    Attributes:
        batches: What each call was for.
        go: Lets the work end.
        cancelled: How many calls were.
        alone: What cannot be done together with others.
    """

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go = asyncio.Event()
        self.cancelled = 0
        self.fails: dict[str, Exception] = {}
        self.alone: set[str] = set()

    async def __call__(self, tickets: Sequence[Ticket[str]]) -> Sequence[Ticket[str]]:
        """Do the work."""
        self.batches.append(sorted(ticket.wanted for ticket in tickets))
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        for ticket in tickets:
            if ticket.wanted in self.fails:
                ticket.end(self.fails[ticket.wanted])
        if len(tickets) == 1:
            return ()
        return [ticket for ticket in tickets if ticket.wanted in self.alone]


def member(name: str) -> Member:
    """A host that listens to nothing."""
    return Member(name, lambda _: None, lambda _: None)


async def want(batches: Batches[str], wanted: str) -> str:
    """Wait for something to its end."""
    async with batches.joined(wanted, member(wanted)) as ticket:
        await ticket.result()
    return wanted


async def until(what: Callable[[], bool]) -> None:
    """Let others go on until something is so."""
    async with asyncio.timeout(60):
        while not what():  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0.001)


def run(test: Callable[[Worker, Batches[str]], Awaitable[None]], slots: int = 1) -> Worker:
    """Run a test in a loop of its own; no task of the batches is left."""

    async def inside() -> Worker:
        worker = Worker()
        await test(worker, Batches(asyncio.Semaphore(slots), worker))
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return worker

    return asyncio.run(inside())


def test_what_is_ready_while_one_runs_is_done_at_once() -> None:
    """With one slot: the first alone, then all that came meanwhile."""

    async def test(worker: Worker, batches: Batches[str]) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(want(batches, "a"))
            await until(lambda: len(worker.batches) == 1)
            for name in "bcd":
                group.create_task(want(batches, name))
                await asyncio.sleep(0.05)
            worker.go.set()

    assert run(test).batches == [["a"], ["b", "c", "d"]]


def test_the_same_is_done_once() -> None:
    """What is wanted twice is done once, whether it waits or is being done."""

    async def test(worker: Worker, batches: Batches[str]) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(want(batches, "a"))
            group.create_task(want(batches, "a"))
            await until(lambda: len(worker.batches) == 1)
            group.create_task(want(batches, "a"))
            await asyncio.sleep(0.05)
            worker.go.set()

    assert run(test, slots=2).batches == [["a"]]


def test_a_host_that_leaves_does_not_end_the_others() -> None:
    """The work goes on for those who wait; once all have left, it is cancelled."""

    async def test(worker: Worker, batches: Batches[str]) -> None:
        hosts = [asyncio.create_task(want(batches, name)) for name in "ab"]
        await until(lambda: len(worker.batches) == 1)
        hosts[0].cancel()
        await asyncio.wait(hosts[:1])
        assert worker.cancelled == 0
        hosts[1].cancel()
        await asyncio.wait(hosts)
        assert worker.cancelled == 1

    assert run(test).batches == [["a", "b"]]


def test_a_host_that_leaves_before_its_turn_is_not_served() -> None:
    """What nobody waits for any more is not begun, and may be wanted again."""

    async def test(worker: Worker, batches: Batches[str]) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(want(batches, "a"))
            await until(lambda: len(worker.batches) == 1)
            leaves = asyncio.create_task(want(batches, "b"))
            group.create_task(want(batches, "c"))
            await asyncio.sleep(0.05)
            leaves.cancel()
            await asyncio.wait((leaves,))
            worker.go.set()
        await want(batches, "b")

    assert run(test).batches == [["a"], ["c"], ["b"]]


def test_one_that_fails_fails_alone() -> None:
    """Each that waits for it gets an error of its own; the others succeed."""

    async def test(worker: Worker, batches: Batches[str]) -> None:
        worker.fails["a"] = StepError("it broke", hint="mend it")
        worker.go.set()
        done = await asyncio.gather(
            *(want(batches, name) for name in "aab"), return_exceptions=True
        )
        first, second, third = done
        assert isinstance(first, StepError)
        assert isinstance(second, StepError)
        assert first is not second
        assert (
            (first.message, first.hint) == (second.message, second.hint) == ("it broke", "mend it")
        )
        assert third == "b"

    run(test)


def test_what_is_not_to_blame_is_done_again_alone() -> None:
    """In the same slot, one after the other."""

    async def test(worker: Worker, batches: Batches[str]) -> None:
        worker.alone = {"b", "c"}
        worker.go.set()
        assert await asyncio.gather(*(want(batches, name) for name in "abc")) == ["a", "b", "c"]

    assert run(test).batches == [["a", "b", "c"], ["b"], ["c"]]


@pytest.mark.parametrize("error", [StepError("the cache is down"), RuntimeError("a bug")])
def test_an_error_of_the_whole_is_everyones(error: Exception) -> None:
    """An error of the work itself reaches all who wait, be it a bug."""

    async def test(_: Worker, __: Batches[str]) -> None:
        async def work(_: Sequence[Ticket[str]]) -> Sequence[Ticket[str]]:
            raise error

        batches = Batches[str](asyncio.Semaphore(1), work)
        done = await asyncio.gather(*(want(batches, name) for name in "ab"), return_exceptions=True)
        assert [type(one) for one in done] == [type(error)] * 2

    run(test)
