"""The way to a host: it may break, and is made again once for all who use it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import pytest
from fake_host import EagerLoop

from orchestrator.core.errors import SilentError, StepError, UnreachableError
from orchestrator.core.executor import Executor
from orchestrator.core.host import Connect, Host
from orchestrator.core.process import CommandResult
from orchestrator.deploy.changing.session import HostSession
from orchestrator.deploy.work import HostWork


class Way:
    """A connection; a lost one raises."""

    lost = False

    async def run(self, _: Sequence[str], **__: object) -> CommandResult:
        """Run a command."""
        await asyncio.sleep(0)
        if self.lost:
            raise UnreachableError("the connection was lost")
        return CommandResult(0, b"", b"")


class Work:
    """A host's share of a run whose connections can be made to fail."""

    host = Host("p620", "p620", Connect("192.0.2.1"))

    def __init__(self, *fails: StepError) -> None:
        self.fails = list(fails)
        self.made = 0
        self.takes = 0.0

    async def connect(self, _: object) -> Way:
        """Make a connection."""
        await asyncio.sleep(self.takes)
        if self.fails:
            raise self.fails.pop(0)
        self.made += 1
        return Way()


def play(scene: Callable[[HostSession, Any], Awaitable[object]], *fails: StepError) -> Work:
    """Play a scene with a line whose first connection is open."""
    work, way = Work(*fails), Way()

    async def all_of_it() -> None:
        async with contextlib.AsyncExitStack() as stack:
            await scene(HostSession(cast("HostWork", work), cast("Executor", way), stack), way)

    with asyncio.Runner(loop_factory=EagerLoop) as runner:
        runner.run(all_of_it())
    return work


async def true(executor: Any) -> CommandResult:
    """Ask a question."""
    return cast("CommandResult", await executor.run(("true",)))


def test_a_question_is_asked_again_over_a_new_connection() -> None:
    """Once; the new connection is then the one in use."""

    async def scene(line: HostSession, way: Any) -> None:
        way.lost = True
        assert (await line.ask(true)).rc == 0
        assert line.executor is not way
        assert (await line.ask(true)).rc == 0

    assert play(scene).made == 1


def test_all_who_meet_a_lost_connection_share_the_new_one() -> None:
    """The lock's renewal and what follows an activation do not make one each."""

    async def scene(line: HostSession, way: Any) -> None:
        way.lost = True
        await asyncio.gather(*(line.ask(true) for _ in range(5)))

    assert play(scene).made == 1


def test_a_line_that_is_alive_is_left_as_it_is() -> None:
    """A session that is alive is left as it is: it may be the last way in."""

    async def scene(line: HostSession, way: Any) -> None:
        await line.alive()
        assert line.executor is way

    assert play(scene).made == 0


def test_a_dead_line_is_made_anew() -> None:
    """A session that is dead is connected again, once, also where nothing is asked of it."""

    async def scene(line: HostSession, way: Any) -> None:
        way.lost = True
        await line.alive()

    assert play(scene).made == 1


def test_a_host_that_comes_back_in_time_is_reached() -> None:
    """Each refused try is followed by another until the time is up."""
    gone = UnreachableError("no route")
    assert play(lambda line, _: line.renew(10), gone, gone, gone).made == 1


def test_a_host_that_stays_away_leaves_the_old_connection_in_use() -> None:
    """The time passes; what there was is kept."""

    async def scene(line: HostSession, way: Any) -> None:
        with pytest.raises(UnreachableError):
            await line.renew(10)
        assert line.executor is way

    assert play(scene, *[UnreachableError("no route")] * 100).made == 0


@pytest.mark.parametrize("seconds", [100, 400, 960])
def test_a_host_that_hangs_is_not_tried_so_often_that_it_refuses_us(seconds: float) -> None:
    """A host that hangs meets fewer than 15 tries, after which sshd would keep us out."""

    async def scene(line: HostSession, _: Way) -> None:
        line._work.takes = 4.0  # type: ignore[attr-defined]
        end = asyncio.get_running_loop().time() + seconds
        while (left := end - asyncio.get_running_loop().time()) > 0:  # as who follows a guard
            with pytest.raises(UnreachableError):
                await line.renew(min(20.0, left))
            await asyncio.sleep(1)

    left = len(play(scene, *[SilentError("no answer")] * 100).fails)
    assert 5 < 100 - left < 15


def test_tries_are_counted_over_all_who_try() -> None:
    """One who asks again and again does not begin again each time; one that succeeds does."""
    gone = UnreachableError("no answer")

    async def scene(line: HostSession, _: Way) -> None:
        clock = asyncio.get_running_loop()
        for seconds in (2.0, 2.0):
            with pytest.raises(UnreachableError):
                await line.renew(seconds)
        begun = clock.time()
        await line.renew(60)
        assert clock.time() - begun > 3
        begun = clock.time()
        await line.renew(60)
        assert clock.time() - begun < 1

    assert play(scene, *[gone] * 5).made == 2


def test_a_refused_login_is_told_at_once() -> None:
    """Another try would not be let in either."""

    async def scene(line: HostSession, _: Way) -> None:
        with pytest.raises(StepError, match="refused"):
            await line.renew(10)

    assert len(play(scene, *[StepError("refused")] * 3).fails) == 2
