"""A host's lock as a run has it: refused, renewed, lost, released, and told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar, cast

import pytest
from run_examples import begin

from orchestrator.core.claims import Hold, Lock
from orchestrator.core.errors import RefusedError, StepError, UnreachableError
from orchestrator.core.executor import Executor
from orchestrator.core.host import Connect, Deadlines, Host
from orchestrator.core.interrupt import Interrupt
from orchestrator.core.run import DeployRequest, Run
from orchestrator.core.state import HostState
from orchestrator.core.values import replace
from orchestrator.deploy.changing import lock
from orchestrator.deploy.changing.lock import Holding, held, refuse_if_taken
from orchestrator.deploy.changing.session import HostSession
from orchestrator.deploy.names import Names
from orchestrator.deploy.work import HostWork
from orchestrator.host import lock as host_lock
from orchestrator.host.lock import Claim, LockAnswer, LockReply

T = TypeVar("T")
NOW = datetime.now(UTC)
TOKEN = "7-abcd.p620.00ff"
BOB = Lock("3-ffff", "bob@sofa", 3, "boot", None, 60)
GONE = Lock("3-ffff", "bob@sofa", 3, "boot", None, -5)
THIEF = Lock("stolen-7-abcd", "eve@bar", None, "in a hurry", None, 0)
HELD = Hold("f00d", "ada@desk", "disk swap", None)


def told(answer: LockAnswer, lock: Lock | None = None, **more: object) -> LockReply:
    """What a host's script found."""
    fields = {"hold": None, "unreadable": False, "boot_id": "b1", **more}
    return LockReply(answer, lock, **fields)  # type: ignore[arg-type]


DONE = told(LockAnswer.DONE)
Step = LockReply | StepError | Callable[[], Awaitable[LockReply]]


@dataclass
class Bench:
    """A host's lock that answers as a test says: in order, and then that all is well."""

    request: DeployRequest = field(default_factory=DeployRequest)
    deadlines: Deadlines = field(default_factory=Deadlines)
    answers: dict[str, list[Step]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    state: Path = Path("/nowhere")
    works: dict[str, HostWork] = field(default_factory=dict)
    interrupt: Interrupt = field(default_factory=lambda: Interrupt(lambda _: None))

    async def answer(self, verb: str) -> LockReply:
        """Give the next answer to a verb."""
        self.calls.append(verb)
        queue = self.answers.get(verb)
        step = queue.pop(0) if queue else DONE
        await asyncio.sleep(0)
        if isinstance(step, StepError):
            raise step
        return step if isinstance(step, LockReply) else await step()

    async def take(self, _: Executor, claim: Claim, gone: str = "", *, seconds: float) -> LockReply:
        """Take the lock."""
        assert seconds == self.deadlines.connect
        self.claims.append(claim)
        self.gone.append(gone)
        return await self.answer("take")

    async def renew(
        self, _: Executor, claim: Claim, boot_id: str, *, asks: bool, seconds: float
    ) -> LockReply:
        """Renew the lock."""
        assert seconds == (self.deadlines.connect if asks else 0)
        assert (claim, boot_id) == (self.claims[-1], "b1")
        return await self.answer("renew")

    async def release(self, _: Executor, token: str) -> LockReply:
        """Release the lock."""
        assert token == TOKEN
        return await self.answer("release")

    async def ask(self, question: Callable[[Executor], Awaitable[T]]) -> T:
        """Be the line: ask on a connection."""
        return await question(cast("Executor", None))

    @property
    def line(self) -> HostSession:
        """The way to the host."""
        return cast("HostSession", self)

    @property
    def work(self) -> HostWork:
        """The host's share of a run."""
        run = Run(7, "/runs/7", "me@here", None, NOW)
        session = SimpleNamespace(
            request=self.request,
            run=run,
            token="7-abcd",
            rollout=SimpleNamespace(works=self.works),
            names=Names(),
            interrupt=self.interrupt,
            setup=SimpleNamespace(state=self.state),
        )
        host = Host("p620", "p620", Connect("192.0.2.1"), deadlines=self.deadlines)
        work = SimpleNamespace(
            session=session,
            host=host,
            token=TOKEN,
            notice=lambda text, warning: self.notices.append(text),  # noqa: ARG005
            log=lambda text: None,  # noqa: ARG005
        )
        return cast("HostWork", work)

    def run(self, body: Callable[[Holding], Awaitable[None]]) -> None:
        """Do something while the lock is held."""

        async def hold() -> None:
            async with held(self.work, self.line) as holding:
                await body(holding)

        asyncio.run(hold())


async def nothing(_: Holding) -> None:
    """Have nothing to do."""


async def for_ever(_: Holding) -> None:
    """Copy for hours."""
    await asyncio.Event().wait()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Make a host that nobody else is at."""
    bench = Bench()
    for verb in ("take", "renew", "release"):
        monkeypatch.setattr(host_lock, verb, getattr(bench, verb))
    return bench


@pytest.fixture
def impatient(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Renew as often as the loop turns."""
    monkeypatch.setattr(lock, "RENEWALS", 1e9)
    return bench


def test_it_is_taken_with_who_what_and_how_long_and_released(bench: Bench) -> None:
    """The claim says all that another is told."""
    bench.deadlines = Deadlines(lock=45)
    bench.request = DeployRequest(title="rollback", despite_hold="f00d")
    bench.run(nothing)
    assert bench.calls == ["take", "release"]
    (claim,) = bench.claims
    assert (claim.token, claim.who, claim.run, claim.reason) == (TOKEN, "me@here", 7, "rollback")
    assert (claim.seconds, claim.despite) == (45, "f00d")
    assert bench.notices == []


@pytest.mark.parametrize(("said", "seconds"), [(0.2, 1), (86400.0, 3600)])
def test_no_lock_counts_for_longer_than_is_believed(
    bench: Bench, said: float, seconds: int
) -> None:
    """What the inventory says is kept within what the host's scripts take for a lock."""
    bench.deadlines = Deadlines(lock=said)
    bench.run(nothing)
    assert bench.claims[0].seconds == seconds


def test_an_emergency_says_why(bench: Bench) -> None:
    """The reason that was given is the lock's."""
    bench.request = DeployRequest(emergency="sshd hole")
    bench.run(nothing)
    assert bench.claims[0].reason == "emergency: sshd hole"


@pytest.mark.parametrize(
    ("answer", "message", "hint"),
    [
        (told(LockAnswer.LOCKED, BOB), "locked by bob@sofa (run 3: boot)", "60 s"),
        (told(LockAnswer.LOCKED), "locked by somebody", "lock break p620"),
        (told(LockAnswer.HELD, hold=HELD), 'held by ada@desk: "disk swap"', "f00d"),
    ],
)
def test_what_is_another_s_is_refused_and_left_to_them(
    bench: Bench, answer: LockReply, message: str, hint: str
) -> None:
    """Who, since when, why and how to go on; what is not ours is not released."""
    bench.answers["take"] = [answer]
    with pytest.raises(RefusedError) as raised:
        bench.run(nothing)
    assert message in raised.value.message
    assert hint in (raised.value.hint or "")
    assert bench.calls == ["take"]


def test_a_lock_whose_answer_was_lost_is_released(bench: Bench) -> None:
    """A lock whose answer was lost may have been taken, and is released."""
    bench.answers["take"] = [UnreachableError("the connection was lost")]
    with pytest.raises(UnreachableError) as raised:
        bench.run(nothing)
    assert raised.value.step == "lock"
    assert bench.calls == ["take", "release"]


@pytest.mark.parametrize(
    ("before", "word"),
    [
        (told(LockAnswer.DONE, GONE), "took over a lock whose deployer is gone: by bob@sofa"),
        (told(LockAnswer.DONE, unreadable=True), "could not be read"),
        (told(LockAnswer.DONE, THIEF), None),
    ],
)
def test_what_is_taken_over_is_told(bench: Bench, before: LockReply, word: str | None) -> None:
    """A deployer that is gone, or a file of nobody's; a lock taken away was meant for us."""
    bench.answers["take"] = [before]
    bench.run(nothing)
    assert len(bench.notices) == (word is not None)
    assert word is None or word in bench.notices[0]


def test_a_run_of_this_machine_that_died_keeps_nobody_out(bench: Bench, tmp_path: Path) -> None:
    """The lock of a dead run of this machine is taken over and reported; a live one counts."""
    bench.state = tmp_path
    (tmp_path / "runs" / "2").mkdir(parents=True)
    with begin(tmp_path) as other:
        theirs = replace(BOB, token=f"{other.token}.p620.beef")
        state = cast("HostState", SimpleNamespace(hold=None, lock=theirs))
        bench.answers["take"] = [told(LockAnswer.LOCKED, theirs)]
        with pytest.raises(RefusedError, match="another deployment is at it"):
            bench.run(nothing)
        with pytest.raises(RefusedError, match="another deployment is at it"):
            refuse_if_taken(bench.work, state)
    bench.answers["take"] = [told(LockAnswer.LOCKED, theirs), told(LockAnswer.DONE, theirs)]
    bench.run(nothing)
    refuse_if_taken(bench.work, state)
    assert bench.gone == ["", "", theirs.token]
    assert "took over a lock whose deployer is gone" in bench.notices[0]


def test_it_is_renewed_until_the_end(impatient: Bench) -> None:
    """Over errors, too: they are tried again."""
    renewed = asyncio.Event()

    async def last() -> LockReply:
        renewed.set()
        return DONE

    impatient.answers["renew"] = [UnreachableError("lost"), StepError("late"), DONE, last]

    async def body(_: Holding) -> None:
        await renewed.wait()

    impatient.run(body)
    assert impatient.calls[0] == "take"
    assert impatient.calls.count("renew") >= 4
    assert impatient.calls[-1] == "release"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (told(LockAnswer.LOCKED, THIEF), "its lock was broken by eve@bar (in a hurry)"),
        (told(LockAnswer.LOCKED), "its lock is gone"),
        (told(LockAnswer.HELD, hold=HELD), "disk swap"),
    ],
)
def test_what_is_under_way_ends_where_the_lock_is_lost(
    impatient: Bench, answer: LockReply, message: str
) -> None:
    """A copy of hours is not finished for nothing; who has it now is told."""
    impatient.answers["renew"] = [DONE, answer]
    with pytest.raises(RefusedError, match=message.replace("(", r"\(").replace(")", r"\)")):
        impatient.run(for_ever)
    # Of a host that is held now, the lock is still ours.
    assert ("release" in impatient.calls) == (answer.answer is LockAnswer.HELD)


def test_the_last_look_refuses_what_was_lost_just_now(bench: Bench) -> None:
    """Nothing is changed between two renewals either."""
    bench.answers["renew"] = [told(LockAnswer.LOCKED, THIEF)]
    went_on = False

    async def body(holding: Holding) -> None:
        nonlocal went_on
        await holding.last_look()
        went_on = True

    with pytest.raises(RefusedError, match="was broken by eve@bar"):
        bench.run(body)
    assert not went_on


def test_after_the_last_look_a_loss_is_only_told(impatient: Bench) -> None:
    """A lock lost after the last look is only reported: the guard on the host decides."""
    lost = asyncio.Event()

    async def lose() -> LockReply:
        lost.set()
        return told(LockAnswer.LOCKED, THIEF)

    async def body(holding: Holding) -> None:
        await holding.last_look()
        impatient.answers["renew"] = [lose]
        await lost.wait()
        while not impatient.notices:  # noqa: ASYNC110
            await asyncio.sleep(0)

    impatient.run(body)
    (notice,) = impatient.notices
    assert "was broken by eve@bar" in notice
    assert "goes on" in notice


def test_a_person_who_stops_is_not_told_of_a_lost_lock(impatient: Bench) -> None:
    """Ctrl-C stays Ctrl-C, and the lock is released."""

    async def body(holding: Holding) -> None:
        with impatient.interrupt.cancellable():
            asyncio.get_running_loop().call_soon(impatient.interrupt.wish)
            await for_ever(holding)

    with pytest.raises(asyncio.CancelledError):
        impatient.run(body)
    assert impatient.calls[-1] == "release"


def test_a_failure_within_stays_what_it_is(bench: Bench) -> None:
    """A failure under the lock is raised as it is, and the lock is released."""

    async def body(_: Holding) -> None:
        raise StepError("copy failed")

    with pytest.raises(StepError, match="copy failed"):
        bench.run(body)
    assert bench.calls == ["take", "release"]


def test_what_cannot_be_released_says_until_when_it_stands(bench: Bench) -> None:
    """A lock that cannot be released is reported with its expiry and how to free it."""
    bench.answers["release"] = [UnreachableError("the connection was lost")]
    bench.run(nothing)
    (notice,) = bench.notices
    assert "not released: the connection was lost" in notice
    assert "s; at once: orchestrator host lock break p620" in notice


def test_a_host_that_says_nothing_keeps_nobody_waiting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release is given up after a while."""
    monkeypatch.setattr(lock, "RELEASE_SECONDS", 0.01)

    async def frozen() -> LockReply:
        await asyncio.Event().wait()
        return DONE

    bench.answers["release"] = [frozen]
    bench.run(nothing)
    assert "the host does not answer" in bench.notices[0]


def test_a_person_who_stops_waits_for_a_silent_host_no_longer(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who stops a run does not wait for a silent host, and is told why its lock stands."""
    monkeypatch.setattr(lock, "HURRIED_SECONDS", 0.01)

    async def frozen() -> LockReply:
        await asyncio.Event().wait()
        return DONE

    bench.answers["release"] = [frozen]

    async def body(holding: Holding) -> None:
        with bench.interrupt.cancellable():
            asyncio.get_running_loop().call_soon(bench.interrupt.wish)
            await for_ever(holding)

    with pytest.raises(asyncio.CancelledError):
        bench.run(body)
    assert "the host does not answer" in bench.notices[0]


def state(lock: Lock | None = None, hold: Hold | None = None) -> HostState:
    """A host's answer."""
    return HostState("m", None, None, None, None, lock=lock, hold=hold)


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        (state(), False),
        (state(BOB), True),
        (state(GONE), False),
        (state(Lock(TOKEN, "me@here", 7, "switch", NOW, 60)), False),
        (state(hold=HELD), True),
        (state(hold=Hold("beef", "ada@desk", "x", None)), False),
        (state(BOB, Hold("beef", "ada@desk", "x", None)), True),
    ],
)
def test_what_the_host_says_first_is_refused_early(
    bench: Bench, answer: HostState, refused: bool
) -> None:
    """A hold that is not named, and a lock that counts and is not ours."""
    bench.request = DeployRequest(despite_hold="beef")
    if refused:
        with pytest.raises(RefusedError):
            refuse_if_taken(bench.work, answer)
    else:
        refuse_if_taken(bench.work, answer)
