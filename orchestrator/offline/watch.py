"""Deliver what waits: once, or as soon as hosts answer."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

from orchestrator.core.errors import OrchestratorError, StepError, UnreachableError, cause_of
from orchestrator.core.event import Event, Notice
from orchestrator.core.host import BuildOn, Host, WhenUnreachable
from orchestrator.core.interrupt import Interrupt, InterruptedStepError
from orchestrator.core.rollout import RolloutPolicy
from orchestrator.core.run import DeployRequest, Report
from orchestrator.core.units import ago
from orchestrator.core.values import replace
from orchestrator.deploy.run import deploy
from orchestrator.host.setup import Emit, Setup
from orchestrator.host.status import HostAnswer, ask_all
from orchestrator.inventory.select import select
from orchestrator.nix import verbs as nix
from orchestrator.runs.pending import Pending, PendingSystems


def waiting(setup: Setup, selectors: Sequence[str], emit: Emit) -> tuple[Pending, ...]:
    """Find what waits for hosts that are selected; what has expired is dropped, and that is told.

    Raises:
        UsageError: A selector matches nothing.
        StepError: What has expired cannot be removed.
    """
    hosts = {host.name for host in select(setup.fleet, selectors)}
    return tuple(one for one in all_waiting(setup.state, emit) if one.host in hosts)


def all_waiting(state: Path, emit: Emit) -> tuple[Pending, ...]:
    """Find all that waits, be the host of the fleet still or not; as :func:`waiting`.

    Raises:
        StepError: What has expired cannot be removed.
    """
    pending, now = pending_systems(state, emit), datetime.now(UTC)
    for one in pending.drop_expired(now):
        text = f"what began to wait for it {ago(one.since, now)}, in run {one.run}, has expired"
        emit(Notice(f"{text} and is dropped", one.host, warning=True))
    return pending.all()


def pending_systems(state: Path, emit: Emit) -> PendingSystems:
    """A fleet's systems that wait; what is wrong with one is told as a warning."""
    return PendingSystems(state, lambda text: emit(Notice(text, warning=True)))


async def catch_up(
    setup: Setup, entries: Sequence[Pending], emit: Emit, interrupt: Interrupt | None = None
) -> tuple[Report, ...]:
    """Try each host once: those that answer get exactly what waited, by the ordinary way.

    Args:
        setup: The fleet.
        entries: What waits for hosts of the fleet.
        emit: Takes what happens.
        interrupt: The wish to stop, of whoever catches up again and again.

    Returns:
        A report for each way in which hosts were to be deployed: nearly always one.

    Raises:
        OrchestratorError: As :func:`~orchestrator.deploy.run.deploy`.
    """
    reports = []
    for request in _requests(setup, entries, emit):
        reports.append(await deploy(setup, request, emit, interrupt))
        if reports[-1].interrupted:
            break
    return tuple(reports)


def _requests(setup: Setup, entries: Sequence[Pending], emit: Emit) -> Iterator[DeployRequest]:
    """One for all hosts that are to be deployed in the same way."""
    fleet = setup.fleet.hosts
    there = [(_is_there(one, fleet[one.host], emit), one) for one in entries]
    left = [((given, _way(one, given=given)), one) for given, one in there]
    while left:
        first = given, way = left[0][0]
        those = [one for other, one in left if other == first]
        left = [(other, one) for other, one in left if other != first]
        yield replace(
            way,
            selectors=tuple(one.host for one in those),
            systems={one.host: one.system for one in those} if given else {},
        )


def _way(entry: Pending, *, given: bool) -> DeployRequest:
    """How a host is deployed: as it was to be when it was unreachable."""
    return DeployRequest(
        goal=entry.goal,
        verify=entry.verify,
        skip_preflight=entry.skip_preflight,
        reboot=entry.reboot,
        specialisation=entry.specialisation,
        unreachable=WhenUnreachable.DEFER,
        revision=entry.revision if given else None,
        catch_up=True,
        rollout=RolloutPolicy(at_once=True),
        title=f"catch-up {entry.goal.value}",
    )


def _is_there(entry: Pending, host: Host, emit: Emit) -> bool:
    """Whether what waits is still to be had without an evaluation; what is not so is told."""
    built = Path(entry.system.out.path).exists()
    if nix.is_here(entry.system.drv):
        if host.build.on is BuildOn.HERE and not built:
            emit(Notice("what waited was collected as garbage: it is built again", entry.host))
        return True
    if host.build.on is BuildOn.HERE and built:
        return True
    lost = "what waited was collected as garbage, and what it is built from"
    emit(Notice(f"{lost}: it is evaluated again, as the fleet is now", entry.host, warning=True))
    return False


def notify(*lines: str) -> None:
    """Tell, such as ``READY=1``; where nobody asked, or nobody listens, nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # A name that begins with @ is in the abstract namespace: unix(7).
    name = f"\0{address[1:]}" if address.startswith("@") else address
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end,
    ):
        end.sendto("\n".join(lines).encode(), name)


def watchdog_seconds() -> float | None:
    """How often a sign of life is wanted at the least; ``None`` where none is."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = os.environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdecimal() and int(text) else None


@contextlib.asynccontextmanager
async def signs_of_life() -> AsyncIterator[None]:
    """Tell that this process is well, as often as it is wanted, while the context is open."""
    seconds = watchdog_seconds()
    task = None if seconds is None else asyncio.create_task(_beat(seconds / 2))
    try:
        yield
    finally:
        if task is not None:
            task.cancel()


async def _beat(seconds: float) -> None:
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(seconds)


_FILE = "watch.lock"


@dataclass(frozen=True, slots=True)
class Try:
    """What came of asking a host.

    Attributes:
        entry: What waits for it.
        obstacle: What kind of thing keeps it from being deployed; ``None`` where it is ready.
        why: That in words, which may be others each time.
    """

    entry: Pending
    obstacle: str | None = None
    why: str = ""


class Watch:
    """A small service.

    Args:
        load: Reads the fleet, which may change while the service runs.
        interval: Seconds between two looks at what waits, and to a host's second try.
        emit: Takes what happens.
    """

    def __init__(self, load: Callable[[], Setup], interval: float, emit: Emit) -> None:
        self._load = load
        self._interval = interval
        self._emit = emit
        self._setup = load()
        self._said: dict[str | None, str] = {}
        self._told: deque[Event] = deque(maxlen=100)
        self._interrupt = Interrupt(self._tell)

    async def run(self) -> None:
        """Go on until a signal comes. A host that is being changed is brought to its end first.

        Raises:
            OrchestratorError: Another process watches this fleet.
        """
        with only_one(self._setup.state), self._interrupt.listening():
            async with signs_of_life():
                notify("READY=1")
                self._tell(f"watching; what waits is tried every {self._interval:.0f} s at first")
                with contextlib.suppress(InterruptedStepError):
                    while True:
                        await self._round()
                        pause = asyncio.sleep(self._interval)
                        await self._interrupt.unless_wished(pause)
                notify("STOPPING=1")

    async def _round(self) -> None:
        """Look once at what waits. What is wrong with this machine now may be right later."""
        try:
            entries = all_waiting(self._setup.state, self._emit_once)
            notify(f"STATUS={len(entries)} waiting")
            if due := self._due(entries):
                self._setup = self._load()
                await self._try(due)
        except InterruptedStepError:
            raise
        except OrchestratorError as error:
            self._say_once(error.message, error.message)
        self._interrupt.check()

    def _due(self, entries: Sequence[Pending]) -> list[Pending]:
        now, interval = datetime.now(UTC), timedelta(seconds=self._interval)
        times = [(one, one.due(interval)) for one in entries]
        return [one for one, due in times if due is not None and due <= now]

    async def _try(self, due: Sequence[Pending]) -> None:
        setup = self._setup
        asked = [one for one in due if one.host in setup.fleet.hosts]
        hosts = [setup.fleet.hosts[one.host] for one in asked]
        answers = await self._interrupt.unless_wished(ask_all(setup, hosts))
        tries = [_try_of(one, answer) for one, answer in zip(asked, answers, strict=True)]
        pending = pending_systems(setup.state, self._emit_once)
        for one in tries:
            if one.obstacle is not None:
                self._say_once(one.obstacle, one.why, one.entry.host)
                now = datetime.now(UTC)
                pending.change(one.entry, tries=one.entry.tries + 1, last_try=now)
        ready = [one.entry for one in tries if one.obstacle is None]
        for entry in ready:
            self._said.pop(entry.host, None)
        if ready:
            await catch_up(setup, ready, self._emit, self._interrupt)

    def _say_once(self, what: str, text: str, host: str | None = None) -> None:
        if self._said.get(host) != what:
            self._said[host] = what
            self._emit(Notice(text, host, warning=host is None))

    def _emit_once(self, event: Event) -> None:
        """Tell of a file that stays as it is only once."""
        if event not in self._told:
            self._told.append(event)
            self._emit(event)

    def _tell(self, text: str) -> None:
        self._emit(Notice(text))


def _try_of(entry: Pending, answer: HostAnswer) -> Try:
    """Find whether a host can be deployed now: a run is made only for one that can."""
    match answer.error:
        case UnreachableError() as error:
            return Try(entry, "unreachable", f"unreachable: {error.message}")
        case StepError() as error:
            return Try(entry, error.message, f"not deployed: {error.message}")
    state = answer.state
    assert state is not None
    if (name := state.another_than(entry.host)) and "identity" not in entry.skip_preflight:
        return Try(entry, name, f"not deployed: this machine was deployed as {name}")
    if (hold := state.hold) is not None:
        return Try(entry, hold.id, f"not deployed: held {hold.in_words(datetime.now(UTC))}")
    if (lock := state.lock) is not None and lock.is_live:
        return Try(entry, lock.token, f"not deployed now: {lock.who} is at it ({lock.reason})")
    return Try(entry)


@contextlib.contextmanager
def only_one(state: Path) -> Iterator[None]:
    """Be the one process that watches a fleet from this machine; the lock ends with the process.

    Raises:
        OrchestratorError: Another one does, or that cannot be found out.
    """
    with _lock_file(state) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise OrchestratorError(
                f"another process ({file.read() or 'unknown'}) watches this fleet already",
                hint="one is enough: `orchestrator pending deliver` tries at once",
            ) from None
        with contextlib.suppress(OSError):  # a full disk: only its number is not told then
            file.truncate(0)
            os.write(file.fileno(), str(os.getpid()).encode())
        yield


def _lock_file(state: Path) -> TextIO:
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        return (state / _FILE).open("a+", errors="replace")
    except OSError as error:
        raise OrchestratorError(
            f"whether another process watches this fleet cannot be found out: "
            f"{cause_of(error, named=True)}",
            hint="is the disk full, or the folder another user's?",
        ) from error
