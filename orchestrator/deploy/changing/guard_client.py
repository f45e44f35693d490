"""The lifeline to a host that is being changed: it may break, and the guard there works on."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from orchestrator.core.errors import FloodError, RefusedError, StepError, UnreachableError
from orchestrator.core.executor import Executor
from orchestrator.core.state import Attempt, AttemptState, HostState
from orchestrator.deploy.changing import session
from orchestrator.deploy.changing.kept_root import KeptRoot, kept_root
from orchestrator.deploy.changing.session import HostSession
from orchestrator.deploy.plan.attempts import SILENT_MARGIN, returns_within, turns_within
from orchestrator.deploy.work import HostWork
from orchestrator.host.guard import orders
from orchestrator.host.guard.orders import GuardReply
from orchestrator.host.status import ask_state, understood

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
        self._root: KeptRoot | None = None

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
        async with kept_root(self._work, self.line.executor, self.attempt) as self._root:
            try:
                yield
            finally:
                self._root = None

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

    async def contact(self) -> HostState | None:
        """Reach the host over a new connection, and show the guard that it can be reached.

        The connection from before stays in use where the new one is of no use.

        Returns:
            What the host is now; ``None`` where the guard went another way meanwhile.

        Raises:
            UnreachableError: No connection came about while the guard waits for one.
            StepError: The login was refused, another host key shown, or root is not to be had.
        """
        before = self.line.executor
        contact = partial(orders.contact, token=self.attempt.token)
        try:
            await self.line.renew(self.left)
            told = await self._persist(contact, self._turns, refused=REFUSED_SECONDS)
            self._see(told)
        except StepError:
            self.line.executor = before
            raise
        return self._host_in(told, AttemptState.CHECKING)

    async def confirm(self) -> HostState | None:
        """Have the guard commit.

        Returns:
            What the host is, where the guard has committed; ``None``: it is not at its end.

        Raises:
            StepError: It was not told while it waited. It may have heard all the same.
        """
        told = await self._persist(self._confirm, self._turns)
        self._see(told)
        return self._host_in(told, AttemptState.DONE)

    async def _confirm(self, executor: Executor) -> GuardReply:
        position = self._position
        told = await orders.confirm(executor, self.attempt.token, LOOK_SECONDS, position)
        return self._heard(told)

    def _host_in(self, told: GuardReply, state: AttemptState) -> HostState | None:
        """What the host said of itself behind its guard's word that it is in this state."""
        if told.host and self.attempt.state is state:
            with contextlib.suppress(StepError):  # then it is asked by itself
                return understood(told.host, self._work.host)
        return None

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
                if self._root is None or not await self._root.pass_on(why):
                    self._see(await self._persist(back, self._lost))
            await self.ended()

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
        await self.past(*(state for state in AttemptState if state.in_flight))

    async def past(self, *states: AttemptState) -> None:
        """Follow the attempt until it is in none of these states.

        Whatever keeps the host from telling is met with another try: it may be what the new
        system did, and what the guard takes back.

        Raises:
            NeverBeganError: There is no such attempt, and never will be.
            StepError: It is in that state for longer than can be, or the host does not tell.
        """
        while (state := self.attempt.state) in states:
            if self._clock() > self._ends:
                raise StepError(f"the guard there is still {state.value}; it should have ended")
            self._see(await self._persist(partial(self._look, states), self._lost))

    async def watch(self) -> None:
        """Look now and then, until the guard does not wait for the deployer's word any more.

        Raises:
            StepError: The host does not tell although the guard must be at its end.
        """
        while self.attempt.state is AttemptState.CHECKING:
            await asyncio.sleep(WATCH_SECONDS)
            looking = partial(self._look, (AttemptState.CHECKING,), seconds=0)
            self._see(await self._persist(looking, self._lost))

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

    async def _look(
        self, states: Sequence[AttemptState], executor: Executor, seconds: float = LOOK_SECONDS
    ) -> GuardReply:
        """Ask for the attempt's next state; what an activation says is logged as it comes."""
        token, position = self.attempt.token, self._position
        return self._heard(await orders.await_(executor, token, states, seconds, position))

    def _heard(self, told: GuardReply) -> GuardReply:
        """Keep and log what an activation said since."""
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
