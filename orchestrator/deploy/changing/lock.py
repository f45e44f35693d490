"""A host to oneself; whose it is, where it is not ours."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

from orchestrator.core.claims import Hold, Lock
from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.executor import Executor
from orchestrator.core.interrupt import ended
from orchestrator.core.state import HostState
from orchestrator.core.token import host_of, run_of
from orchestrator.deploy.changing.session import HostSession
from orchestrator.deploy.identity import one_machine
from orchestrator.deploy.work import HostWork
from orchestrator.host import lock
from orchestrator.host.lock import Claim, LockAnswer, LockReply
from orchestrator.host.lock_scripts import LONGEST_SECONDS
from orchestrator.runs.store import Runs


def refusal(work: HostWork, told: LockReply, *, lost: bool = False) -> RefusedError:
    """Put a host's answer into words.

    Args:
        work: The host's share of the run.
        told: What stands there; not that all is well.
        lost: Whether the lock was ours before.
    """
    if told.answer is LockAnswer.HELD and told.hold:
        return held_by(work, told.hold)
    if not lost:
        return locked_by(work, told.lock)
    if told.lock is None:
        message = "its lock is gone: somebody removed it, or another deployment came and went"
    else:
        message = f"its lock was broken {told.lock.in_words(datetime.now(UTC))}"
    return RefusedError(message, hint="look at what it runs (orchestrator status), then deploy")


def held_by(work: HostWork, hold: Hold) -> RefusedError:
    """A person's hold stands."""
    name = work.host.name
    return RefusedError(
        f"held {hold.in_words(datetime.now(UTC))}",
        hint=(
            f"lift it: orchestrator host unhold {name}; "
            f"a deployment that names it goes past it: --override-hold {hold.id}"
        ),
    )


def locked_by(work: HostWork, other: Lock | None) -> RefusedError:
    """Another deployment's lock counts."""
    name = work.host.name
    whose = other.in_words(datetime.now(UTC)) if other else "by somebody"
    if other and host_of(other.token) not in ("", name):
        whose += f", as {host_of(other.token)}"
    left = f"{other.expires_in:.0f} s" if other else "its time"
    return RefusedError(
        f"another deployment is at it: locked {whose}",
        hint=(
            f"wait for its end; where its deployer is gone, the lock ends in {left}; "
            f"break it: orchestrator host lock break {name}"
        ),
    )


RENEWALS = 4.5
"""How often a lock is renewed within the time that it counts."""

RELEASE_SECONDS, HURRIED_SECONDS = 25.0, 5.0
"""For releasing a lock, on a new connection too; the second where a person asked to stop."""


def refuse_if_taken(work: HostWork, state: HostState) -> None:
    """Refuse before anything is built what the host's lock or hold forbids.

    Raises:
        RefusedError: A hold stands that was not named, or another deployment is at it.
    """
    if state.hold and state.hold.id != work.session.request.despite_hold:
        raise held_by(work, state.hold)
    if state.lock and state.lock.is_live and not _is_free(work, state.lock):
        raise locked_by(work, state.lock)


@contextlib.asynccontextmanager
async def held(work: HostWork, line: HostSession) -> AsyncIterator[Holding]:
    """Hold the host's lock while the context is open; what is within ends where it is lost.

    Raises:
        RefusedError: A hold stands, or another deployment is at it: before or meanwhile.
        StepError: The lock could not be taken.
    """
    holding = Holding(work, line)
    try:
        holding.said = await holding.take()
        async with holding.renewed():
            yield holding
    finally:
        await holding.release()


class Holding:
    """The lock of one host, as this run has it.

    Attributes:
        said: What the host said of itself when it was taken.
    """

    def __init__(self, work: HostWork, line: HostSession) -> None:
        request, run = work.session.request, work.session.run
        self._work = work
        self._line = line
        self._claim = Claim(
            token=work.token,
            who=run.who,
            run=run.number,
            reason=_reason(work),
            since=datetime.now(UTC),
            seconds=max(1, int(min(work.host.deadlines.lock, LONGEST_SECONDS))),
            despite=request.despite_hold or "",
        )
        self.said = ""
        self._boot_id = ""
        self._stands = False
        self._asked = 0.0
        self._past_return = False
        self._lost: StepError | None = None

    async def take(self) -> str:
        """Take the lock.

        Returns:
            What the host said of itself afterwards.

        Raises:
            RefusedError: A hold stands, or another deployment is at it.
            StepError: The host could not be asked.
        """
        # From here on it may be there, though no answer came.
        self._stands, self._asked = True, _now()
        told = await self._ask(self._take)
        if told.answer is LockAnswer.LOCKED and told.lock and _is_free(self._work, told.lock):
            gone = told.lock.token
            told = await self._ask(lambda executor: self._take(executor, gone))
        self._boot_id = told.boot_id
        if told.answer is not LockAnswer.DONE:
            self._stands = False
            if told.lock and _is_of_this_run(self._work, told.lock):
                raise one_machine(self._work, told.lock.token)
            raise refusal(self._work, told)
        if told.unreadable:
            self._work.notice("its lock could not be read; it counted as nobody's", warning=True)
        if told.lock and told.lock.run is not None and told.lock.token != self._claim.token:
            words = told.lock.in_words(datetime.now(UTC))
            self._work.notice(f"took over a lock whose deployer is gone: {words}", warning=True)
        return told.host

    async def _take(self, executor: Executor, gone: str = "") -> LockReply:
        seconds = self._work.host.deadlines.connect
        return await lock.take(executor, self._claim, gone, seconds=seconds)

    async def last_look(self) -> str:
        """Make sure that the lock is ours, right before the host is changed.

        From here on a lock that is lost stops nothing: the guard on the host decides.

        Returns:
            What the host said of itself.

        Raises:
            RefusedError: It is lost, or the host is held now.
            StepError: The host could not be asked.
        """
        said = await self._renew(asks=True)
        self._past_return = True
        return said

    @contextlib.asynccontextmanager
    async def renewed(self) -> AsyncIterator[None]:
        """Renew the lock while the context is open; where it is lost, end what is within."""
        body = asyncio.current_task()
        assert body is not None
        renewing = asyncio.create_task(self._keep_renewing(body))
        try:
            yield
        except asyncio.CancelledError:
            if self._lost is None or body.uncancel() > 0:
                raise
            raise self._lost from None
        finally:
            await ended(renewing)

    async def release(self) -> None:
        """Give the lock back; where that cannot be, say until when it stands."""
        if not self._stands:
            return
        token = self._claim.token
        hurried = self._work.session.interrupt.wished
        # A task of its own: where this one was cancelled, Python 3.11 takes a timeout for that.
        releasing = asyncio.create_task(self._ask(lambda there: lock.release(there, token)))
        why: str | None = "there was no time left"
        try:
            await asyncio.wait(
                (releasing,), timeout=HURRIED_SECONDS if hurried else RELEASE_SECONDS
            )
            why = _why_not(releasing)
        finally:
            await ended(releasing)
            if why is not None:
                self._tell_it_stands(why)

    async def _keep_renewing(self, body: asyncio.Task[object]) -> None:
        while True:
            await asyncio.sleep(self._claim.seconds / RENEWALS)
            try:
                await self._renew()
            except RefusedError as error:
                if not self._past_return:
                    self._lost = error
                    body.cancel()
                else:
                    goes_on = "what it has begun to change there goes on, and its guard decides"
                    self._work.notice(f"{error.message}; {goes_on}", warning=True)
                return
            except StepError as error:
                self._work.log(f"the lock was not renewed, and will be tried again: {error}")

    async def _renew(self, *, asks: bool = False) -> str:
        asked = _now()
        claim, boot = self._claim, self._boot_id
        seconds = self._work.host.deadlines.connect if asks else 0

        async def renew(there: Executor) -> LockReply:
            return await lock.renew(there, claim, boot, asks=asks, seconds=seconds)

        told = await self._ask(renew)
        if told.answer is not LockAnswer.DONE:
            self._stands = self._stands and told.answer is LockAnswer.HELD
            raise refusal(self._work, told, lost=True)
        self._asked = asked
        return told.host

    async def _ask(self, question: Callable[[Executor], Awaitable[LockReply]]) -> LockReply:
        try:
            return await self._line.ask(question)
        except StepError as error:
            error.step = error.step or "lock"
            raise

    def _tell_it_stands(self, why: str) -> None:
        left = self._asked + self._claim.seconds - _now()
        if left <= 0:
            return
        until = datetime.now().astimezone() + timedelta(seconds=left)
        self._work.notice(
            f"its lock was not released: {why}. It expires at {until:%H:%M:%S}, in {left:.0f} s; "
            f"at once: orchestrator host lock break {self._work.host.name}",
            warning=True,
        )


def _is_free(work: HostWork, other: Lock) -> bool:
    """Whether a lock is ours, or of a run of this machine whose process is no more."""
    if other.token == work.token or other.run is None:
        return other.token == work.token
    run = Runs(work.session.setup.state).folder(other.run)
    return run.died(run_of(other.token))


def _is_of_this_run(work: HostWork, other: Lock) -> bool:
    """Whether a lock is another host's of the same run."""
    another = host_of(other.token) not in ("", work.host.name)
    return another and run_of(other.token) == run_of(work.token)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _why_not(releasing: asyncio.Task[LockReply]) -> str | None:
    """Say why a lock was not released; ``None`` where it was."""
    if not releasing.done():
        return "the host does not answer"
    error = releasing.exception()
    if error is None:
        return None
    if isinstance(error, StepError):
        return error.message
    raise error


def _reason(work: HostWork) -> str:
    request = work.session.request
    what = request.title or request.goal.value
    return what if request.emergency is None else f"emergency: {request.emergency}"
