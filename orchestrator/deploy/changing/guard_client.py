"""The lifeline to a host that is being changed: it may break, and the guard there works on."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

from orchestrator.core.errors import FloodError, RefusedError, StepError, UnreachableError
from orchestrator.core.executor import Executor, Running
from orchestrator.core.state import Attempt, AttemptState, HostState
from orchestrator.core.units import on_one_line
from orchestrator.deploy.changing import session
from orchestrator.deploy.changing.session import HostSession
from orchestrator.deploy.plan.attempts import SILENT_MARGIN, returns_within, turns_within
from orchestrator.deploy.work import HostWork
from orchestrator.host.guard import orders
from orchestrator.host.guard.orders import GuardReply
from orchestrator.host.status import ask_state

T = TypeVar("T")

LOOK_SECONDS = 20.0
"""For how long one question waits on the host for the attempt's next state."""


PATIENCE_SECONDS = 20.0
"""For how long a new connection is tried before it is seen whether that still makes sense."""

_SAID = 1 << 16
"""Characters that are kept of what an activation says: the end tells the cause."""

WATCH_SECONDS = 3.0
"""Between two looks at a guard that waits while the host is verified."""


WAITING = "waiting: "
"""Begins what the guard says of somebody else's switch, which it waits for."""


REFUSED_SECONDS = 15.0
"""For how long root may be refused over new connections before the new system is to blame."""

_ANSWER = 64
"""Bytes that are read of an answer; it has fewer."""

_WORD_SECONDS = 10.0
"""For what the kept process of root's says in answer."""


class NeverBeganError(StepError):
    """The host knows nothing of the attempt, which therefore never touches it."""


class ForgottenError(StepError):
    """The host knows nothing of the attempt any more."""


class GuardClient:
    """Gives the guard of an attempt its orders, and follows it over as many connections as needed.

    Attributes:
        line: The present connection.
        attempt: What is wanted there, and how far the guard says it has come.
        said: What ``switch-to-configuration`` said last.
        cut: Whether it said more than is kept.
    """

    def __init__(self, work: HostWork, line: HostSession, attempt: Attempt) -> None:
        self.line = line
        self.attempt = attempt
        self.said = ""
        self.cut = False
        self._work = work
        self._position = 0
        self._unstarted: StepError | None = None
        self._clock = asyncio.get_running_loop().time
        self._turns = self._clock() + turns_within(attempt)
        self._root: Running | None = None

    @property
    def left(self) -> float:
        """Seconds until the guard rolls back by itself, at the most."""
        return max(0.0, self._turns - self._clock())

    @property
    def over(self) -> bool:
        """Whether the guard has come to an end, whatever happened."""
        return self._clock() > self._ends

    @contextlib.asynccontextmanager
    async def keeping_root(self) -> AsyncIterator[None]:
        """Keep a process of root's on the host, which passes on that it is to roll back.

        With the new system sudo may refuse the deployer, over the connection from before too.
        Where there can be none the guard rolls back at its deadline.
        """
        async with contextlib.AsyncExitStack() as stack:
            try:
                await self._keep_root(stack)
            except (StepError, TimeoutError) as error:
                self._work.log(f"no process of root's is kept there: {error}")
                await stack.aclose()
            try:
                yield
            finally:
                self._root = None

    async def _keep_root(self, stack: contextlib.AsyncExitStack) -> None:
        if not self.attempt.over_ssh:
            return
        executor = self.line.executor
        argv = orders.passing_on(self.attempt.token, len(orders.program().encode()))
        root = await stack.enter_async_context(executor.start(argv))
        await root.write(orders.program().encode())
        if await self._answer(root):
            # sshd may allow one session a connection (MaxSessions): it is not for this one then.
            await executor.run(("true",), deadline=_WORD_SECONDS)
            self._root = root

    async def start(self) -> None:
        """Have the guard begin. Where it is not known whether it did, following it tells.

        Raises:
            NeverBeganError: It did not, and nothing was touched.
        """
        try:
            self._see(await orders.start(self.line.executor, self.attempt))
        except (RefusedError, orders.DeclinedError) as error:
            raise _never_began(error) from error
        except StepError as error:
            self._work.log(f"{error.message}; asking whether its guard began")
            self._unstarted = error

    async def contact(self) -> None:
        """Reach the host over a new connection, and show the guard that it can be reached.

        The connection from before stays in use where the new one is of no use.

        Raises:
            UnreachableError: No connection came about while the guard waits for one.
            StepError: The login was refused, another host key shown, or root is not to be had.
        """
        before = self.line.executor
        contact = partial(orders.contact, token=self.attempt.token)
        try:
            await self.line.renew(self.left)
            self._see(await self._persist(contact, self._turns, refused=REFUSED_SECONDS))
        except StepError:
            self.line.executor = before
            raise

    async def confirm(self) -> None:
        """Have the guard commit.

        Raises:
            StepError: It was not told while it waited. It may have heard all the same.
        """
        confirm = partial(orders.confirm, token=self.attempt.token)
        self._see(await self._persist(confirm, self._turns))

    async def back(self, why: str) -> None:
        """Have the guard go back, unless it is at an end already, and see it end.

        Raises:
            StepError: The host did not tell of its end although it must have come to it.
        """
        if self.attempt.state.in_flight:
            back = partial(orders.back, token=self.attempt.token, why=why)
            try:
                self._see(await back(self.line.executor))
            except StepError:
                if not await self._pass_on(why):
                    self._see(await self._persist(back, self._lost))
            await self.ended()

    async def _pass_on(self, why: str) -> bool:
        """Have the guard go back by the word of the process of root's that was kept."""
        if (root := self._root) is None:
            return False
        with contextlib.suppress(StepError, TimeoutError):
            await root.write(f"{on_one_line(why)}\n".encode())
            return await self._answer(root)
        return False

    async def _answer(self, root: Running) -> bool:
        """Whether the kept process answers, which it does with a line."""
        async with asyncio.timeout(_WORD_SECONDS):
            return await root.read(_ANSWER) != b""

    async def reach(self) -> None:
        """Have a host that rolled back note that one gets in, over a connection made since.

        Where the present one is older a new one is made. It stays in use where none comes about.

        Raises:
            UnreachableError: None came about for as long as a guard waits for one.
            StepError: The login was refused, another host key shown, or root is not to be had.
        """
        before, token = self.line.executor, self.attempt.token
        until = self._clock() + self.attempt.confirm_seconds
        with contextlib.suppress(UnreachableError):
            self._see(await orders.reached(before, token))
        if not self.attempt.unreached:
            return
        try:
            await self.line.renew(self.attempt.confirm_seconds)
            self._see(await self._persist(partial(orders.reached, token=token, anew=True), until))
        except StepError:
            self.line.executor = before
            raise
        if self.attempt.unreached:
            raise StepError("the host takes the new connection for an older one")

    async def ended(self) -> None:
        """Follow the attempt to its end: done, returned, or stuck.

        Raises:
            StepError: As :meth:`past`.
        """
        while self.attempt.state.in_flight:
            await self.past(self.attempt.state)

    async def past(self, state: AttemptState) -> None:
        """Follow the attempt until it is in this state no more.

        Whatever keeps the host from telling is met with another try: it may be what the new
        system did, and what the guard takes back.

        Raises:
            NeverBeganError: There is no such attempt, and never will be.
            StepError: It is in that state for longer than can be, or the host does not tell.
        """
        while self.attempt.state is state:
            if self._clock() > self._ends:
                raise StepError(f"the guard there is still {state.value}; it should have ended")
            self._see(await self._persist(self._look, self._lost))

    async def watch(self) -> None:
        """Look now and then, until the guard does not wait for the deployer's word any more.

        Raises:
            StepError: The host does not tell although the guard must be at its end.
        """
        while self.attempt.state is AttemptState.CHECKING:
            await asyncio.sleep(WATCH_SECONDS)
            self._see(await self._persist(partial(self._look, seconds=0), self._lost))

    async def state(self) -> HostState:
        """Ask what the host is; a connection lost at this moment says nothing of it.

        Raises:
            StepError: It did not tell for as long as a guard waits for a new connection.
        """
        until = self._clock() + self.attempt.confirm_seconds
        return await self._persist(partial(ask_state, host=self._work.host), until)

    async def seen(self) -> None:
        """Have the host know that a deployer was told of the end; it may well not."""
        with contextlib.suppress(StepError):
            await orders.seen(self.line.executor, self.attempt.token)

    @property
    def _ends(self) -> float:
        """When the guard has come to an end, whatever happened."""
        return self._turns + returns_within(self.attempt)

    @property
    def _lost(self) -> float:
        """When a host that does not answer is left to its guard."""
        return self._turns + self.attempt.activate_seconds + SILENT_MARGIN

    async def _look(self, executor: Executor, seconds: float = LOOK_SECONDS) -> GuardReply:
        """Ask for the attempt's next state; what an activation says is logged as it comes."""
        attempt = self.attempt
        told = await orders.await_(executor, attempt.token, attempt.state, seconds, self._position)
        said = self.said + told.log
        self.said, self.cut = said[-_SAID:], self.cut or len(said) > _SAID
        self._position = told.position
        self._work.log(told.log)
        return told

    def _see(self, told: GuardReply) -> None:
        """Take in how far the guard is.

        Raises:
            NeverBeganError: It never began.
            ForgottenError: The host lost it, or another attempt is in its place.
        """
        if told.attempt is None and self.attempt.state is AttemptState.RECORDED:
            raise _never_began(self._unstarted)
        if told.attempt is None or told.attempt.token != self.attempt.token:
            raise ForgottenError("the host knows nothing of this deployment any more")
        now = self.attempt.as_told(told.attempt)
        if now.state is not self.attempt.state:
            self._turns = self._clock() + turns_within(now)
        if now.why.startswith(WAITING) and now.why != self.attempt.why:
            self._work.notice(now.why)
        self.attempt = now

    async def _persist(
        self,
        do: Callable[[Executor], Awaitable[T]],
        until: float,
        refused: float = math.inf,
    ) -> T:
        """Do something on the host, over as many connections as it takes.

        Where root is not to be had a new one may help: a session keeps the groups that its user had
        when it began. A host that floods is asked less and less often: each answer costs all that
        is taken. So is one that refuses, which each time has one connection more.

        Args:
            do: What.
            until: When it is given up.
            refused: Seconds from the first time that root was refused, after which it is, too.
        """
        costly = 0
        while True:
            executor = self.line.executor
            try:
                return await do(executor)
            except StepError as error:
                if isinstance(error, RefusedError):
                    until, refused = min(until, self._clock() + refused), math.inf
                if self._clock() + session.RECONNECT_SECONDS > until:
                    raise
                self._work.log(f"{error.message}; trying again")
                costly += isinstance(error, FloodError | RefusedError)
                pause = session.RECONNECT_SECONDS * max(1, costly)
                await asyncio.sleep(min(pause, session.LONGEST_PAUSE, until - self._clock()))
                if isinstance(error, UnreachableError | RefusedError):
                    patience = min(PATIENCE_SECONDS, until - self._clock())
                    with contextlib.suppress(StepError):
                        await self.line.replace(executor, patience)


def _never_began(error: StepError | None) -> NeverBeganError:
    message = "its guard did not begin; the host was not changed"
    if error is None:
        return NeverBeganError(message)
    return NeverBeganError(
        f"{message}: {error.message}", hint=error.hint, command=error.command, stderr=error.stderr
    )
