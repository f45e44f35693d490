"""The wish to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from orchestrator.core.errors import StepError
from orchestrator.core.interrupt import Interrupt, InterruptedStepError, ended
from orchestrator.core.together import together

Body = Callable[[Interrupt, list[str]], Awaitable[None]]


def play(body: Body) -> list[str]:
    """Play a scene, and return what was said to a person."""
    said: list[str] = []
    asyncio.run(body(Interrupt(said.append), said))
    return said


async def _until_cancelled(interrupt: Interrupt, ready: asyncio.Event) -> str:
    with interrupt.cancellable():
        ready.set()
        await asyncio.Event().wait()
    return "went on"


async def _guarded(interrupt: Interrupt, ready: asyncio.Event, go: asyncio.Event) -> str:
    with interrupt.cancellable(), interrupt.guarded("p510 is being changed"):
        ready.set()
        await go.wait()
        try:
            interrupt.check()
        except InterruptedStepError as error:
            return error.message
    return "went on"


def test_the_first_wish_cancels_what_changes_no_host() -> None:
    """A guarded task goes on and sees the wish at its next check; any other ends at once."""

    async def scene(interrupt: Interrupt, _: list[str]) -> None:
        free_ready, kept_ready, go = asyncio.Event(), asyncio.Event(), asyncio.Event()
        free = asyncio.create_task(_until_cancelled(interrupt, free_ready))
        kept = asyncio.create_task(_guarded(interrupt, kept_ready, go))
        await free_ready.wait()
        await kept_ready.wait()
        assert not interrupt.wished
        interrupt.wish()
        assert interrupt.wished
        with pytest.raises(asyncio.CancelledError):
            await free
        assert not kept.done()
        go.set()
        assert await kept == "interrupted before it was verified and committed"

    assert play(scene) == [
        "stopping; first each host is brought to a proven state: p510 is being changed. "
        "Again to leave at once."
    ]


def test_the_second_wish_cancels_everything() -> None:
    """Who asks twice is not kept waiting by a host that is being changed."""

    async def scene(interrupt: Interrupt, _: list[str]) -> None:
        ready = asyncio.Event()
        kept = asyncio.create_task(_guarded(interrupt, ready, asyncio.Event()))
        await ready.wait()
        interrupt.wish()
        await asyncio.sleep(0)
        assert not kept.done()
        interrupt.wish()
        with pytest.raises(asyncio.CancelledError):
            await kept

    assert play(scene)[1] == "stopping now; what goes on on hosts is said below"


def test_a_task_that_begins_after_the_wish_ends_at_once() -> None:
    """Nothing is begun once a person asked to stop."""

    async def scene(interrupt: Interrupt, _: list[str]) -> None:
        interrupt.wish()
        with pytest.raises(asyncio.CancelledError):
            await _until_cancelled(interrupt, asyncio.Event())

    assert play(scene) == ["stopping; no host is being changed"]


def test_a_task_that_is_done_is_not_cancelled() -> None:
    """The wish ends with the context: what a task does afterwards is its own."""

    async def scene(interrupt: Interrupt, _: list[str]) -> None:
        with interrupt.cancellable(), interrupt.guarded("x"):
            pass
        interrupt.wish()
        interrupt.wish()
        await asyncio.sleep(0)

    assert len(play(scene)) == 2


def test_without_a_wish_a_check_passes() -> None:
    """A check raises only where a person asked to stop."""
    Interrupt(lambda _: None).check()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_wishes(number: signal.Signals) -> None:
    """Ctrl-C, a service manager's stop and a closed terminal are heard, and only inside."""

    async def scene(interrupt: Interrupt, _: list[str]) -> None:
        before = signal.getsignal(number)
        with interrupt.listening():
            os.kill(os.getpid(), number)
            while not interrupt.wished:  # noqa: ASYNC110 (the loop handles signals)
                await asyncio.sleep(0.001)
        assert signal.getsignal(number) in (before, signal.SIG_DFL, signal.default_int_handler)

    assert play(scene) == ["stopping; no host is being changed"]


def test_work_ends_on_the_wish() -> None:
    """Work is cancelled and gone before the wish is told as an error."""

    async def scene(interrupt: Interrupt, said: list[str]) -> None:
        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                said.append("cleaned up")

        asyncio.get_running_loop().call_later(0.01, interrupt.wish)
        with pytest.raises(InterruptedStepError):
            await interrupt.unless_wished(work())
        said.append("told")

    assert play(scene)[1:] == ["cleaned up", "told"]


def test_work_gives_its_result_or_its_error() -> None:
    """Work that nobody wishes to stop gives its result or raises its error."""

    async def scene(interrupt: Interrupt, _: list[str]) -> None:
        async def result() -> int:
            return 7

        async def error() -> int:
            raise KeyError("x")

        assert await interrupt.unless_wished(result()) == 7
        with pytest.raises(KeyError):
            await interrupt.unless_wished(error())

    assert play(scene) == []


def test_a_second_cancellation_is_not_swallowed_by_the_end_of_the_first() -> None:
    """Who waits for work that takes long to end is cancelled when asked again, and ends."""

    async def scene(interrupt: Interrupt, said: list[str]) -> None:
        started, stopping, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def slow() -> None:
            try:
                started.set()
                await asyncio.Event().wait()
            finally:
                stopping.set()
                await stop.wait()

        async def caller() -> None:
            with interrupt.cancellable(), interrupt.guarded("p510 is being changed"):
                await interrupt.unless_wished(slow())
            said.append("went on as if nobody had asked")

        task = asyncio.create_task(caller())
        await started.wait()
        interrupt.wish()
        await stopping.wait()
        interrupt.wish()
        await asyncio.wait((task,), timeout=5)
        assert task.cancelled()
        stop.set()

    assert "went on as if nobody had asked" not in play(scene)


@pytest.mark.parametrize("how", ["returns", "raises", "is cancelled"])
def test_however_a_task_ends_its_end_is_waited_for(how: str) -> None:
    """The end of a task is waited for however it ends, and its error is not the ender's."""

    async def scene(interrupt: Interrupt, _: list[str]) -> None:
        async def work() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if how == "raises":
                    raise KeyError("x") from None
                if how == "is cancelled":
                    raise

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        await ended(task)
        assert task.done()

    assert play(scene) == []


def test_cancelled_work_leaves_nothing_behind() -> None:
    """Where the caller is cancelled, so is its work, before the cancellation goes on."""

    async def scene(interrupt: Interrupt, said: list[str]) -> None:
        started = asyncio.Event()

        async def work() -> None:
            try:
                started.set()
                await asyncio.Event().wait()
            finally:
                said.append("cleaned up")

        task = asyncio.create_task(interrupt.unless_wished(work()))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    assert play(scene) == ["cleaned up"]


@pytest.mark.parametrize(
    "errors", [[StepError("expected")], [StepError("expected"), OSError("a bug")]]
)
def test_what_runs_beside_a_failure_is_stopped_before_that_is_told(errors: list[Exception]) -> None:
    """The error arrives as it was raised, a bug before an expected one, and nothing runs on."""
    ended_by: list[str] = []

    async def fails(error: Exception) -> None:
        raise error

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended_by.append("stopped")
            raise

    async def run() -> None:
        async with together() as group:
            group.create_task(waits())
            await asyncio.sleep(0)
            for error in errors:
                group.create_task(fails(error))

    with pytest.raises(type(errors[-1])) as raised:
        asyncio.run(run())
    assert (raised.value, ended_by) == (errors[-1], ["stopped"])
