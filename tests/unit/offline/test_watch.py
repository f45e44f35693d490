"""The service: it tries what waits, says what happens once, and ends when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.core.claims import Hold, Lock
from orchestrator.core.errors import OrchestratorError, StepError, UnreachableError, UsageError
from orchestrator.core.event import Event, Notice
from orchestrator.core.host import Connect, Fleet, Host
from orchestrator.core.state import HostState
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.core.values import replace
from orchestrator.host import setup, status
from orchestrator.host.setup import Setup
from orchestrator.nix.verbs import Flake
from orchestrator.offline import watch
from orchestrator.offline.watch import Watch, only_one
from orchestrator.runs.pending import Pending, PendingSystems
from orchestrator.ssh.settings import SshSettings

OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system")
STATE = HostState("m", None, None, None, None)
HELD = Hold("h1", "ada@desk", "disk swap", None)
LOCKED = Lock("7-x", "ada@desk", 7, "deploy", None, expires_in=30)

Answer = HostState | StepError


class Service:
    """A service for two hosts that answer as they are told to.

    Attributes:
        answers: By host; one that is not there is unreachable.
        delivered: The hosts of each catch-up.
        fails: What reading the fleet raises.
    """

    def __init__(self, state: Path) -> None:
        hosts = {name: Host(name, name, Connect(name)) for name in ("razer", "samsung")}
        self.setup = Setup(
            Fleet("f", "/f", "/f", hosts), Flake.at("/f", "/f"), SshSettings(), state
        )
        self.pending = PendingSystems(state, self._never)
        self.answers: dict[str, Answer] = {}
        self.delivered: list[list[str]] = []
        self.events: list[Event] = []
        self.fails: OrchestratorError | None = None
        self.asked = 0

    @staticmethod
    def _never(text: str) -> None:
        raise AssertionError(text)

    def load(self) -> Setup:
        """Read the fleet."""
        if self.fails is not None:
            raise self.fails
        return self.setup

    def wait(self, host: str, **fields: object) -> None:
        """Have a system wait for a host."""
        now = datetime.now(UTC)
        self.pending.put(
            Pending(
                host=host,
                system=Evaluated(DrvPath(f"{OUT}.drv"), OUT),
                run=3,
                who="me@here",
                revision=None,
                reason="no route to host",
                since=now,
                expires=now + timedelta(days=7),
                **fields,  # type: ignore[arg-type]
            )
        )

    @contextlib.asynccontextmanager
    async def reach(self, _: Setup, host: Host) -> AsyncIterator[Host]:
        """Be there, or not."""
        self.asked += 1
        await asyncio.sleep(0)
        if host.name not in self.answers:
            raise UnreachableError(f"no route, try {self.asked}")
        yield host

    async def ask_state(self, host: Host, _: Host) -> HostState:
        """Answer."""
        answer = self.answers[host.name]
        if isinstance(answer, StepError):
            raise answer
        return answer

    async def catch_up(self, _: Setup, entries: Sequence[Pending], *__: object) -> None:
        """Deliver."""
        self.delivered.append([entry.host for entry in entries])
        for entry in entries:
            self.pending.drop(entry)

    def run(self, until: Callable[[], bool]) -> list[str]:
        """Run until something is so, end it by SIGTERM, and give what it said."""

        async def stop() -> None:
            async with asyncio.timeout(60):
                while not until():  # noqa: ASYNC110 -- it is a file's content
                    await asyncio.sleep(0.005)
            os.kill(os.getpid(), signal.SIGTERM)

        async def both() -> None:
            async with asyncio.TaskGroup() as group:
                # First: it has to listen for signals when one comes.
                group.create_task(Watch(self.load, 0.01, self.events.append).run())
                group.create_task(stop())

        asyncio.run(both())
        return self.said

    @property
    def said(self) -> list[str]:
        """Its lines."""
        return [
            f"{event.host or ''}: {event.text}"
            for event in self.events
            if isinstance(event, Notice)
        ]

    def tries(self, host: str) -> int:
        """How often a host was found unreachable."""
        found = self.pending.of(host)
        return found.tries if found else 0


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A service that nothing waits for."""
    made = Service(tmp_path)
    monkeypatch.setattr(setup, "reach", made.reach)
    monkeypatch.setattr(status, "ask_state", made.ask_state)
    monkeypatch.setattr(watch, "catch_up", made.catch_up)
    return made


def test_a_host_that_answers_gets_what_waits(service: Service) -> None:
    """The other, which does not, keeps nobody waiting."""
    service.wait("razer")
    service.wait("samsung")
    service.answers["samsung"] = STATE
    service.run(lambda: bool(service.delivered))
    assert service.delivered == [["samsung"]]
    assert service.pending.of("razer") is not None


def test_a_host_that_comes_back_is_delivered(service: Service) -> None:
    """After some tries in vain, of which one line tells."""
    service.wait("razer")

    def comes_back() -> bool:
        if service.tries("razer") >= 3:
            service.answers["razer"] = STATE
        return bool(service.delivered)

    said = service.run(comes_back)
    assert service.delivered == [["razer"]]
    assert [line for line in said if line.startswith("razer")] == [
        "razer: unreachable: no route, try 1"
    ]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (replace(STATE, hold=HELD), "disk swap"),
        (replace(STATE, lock=LOCKED), "ada@desk is at it"),
        (StepError("the host key is not a known one"), "not a known one"),
    ],
    ids=["held", "locked", "another key"],
)
def test_what_may_not_be_deployed_now_is_tried_later(
    service: Service, answer: Answer, expected: str
) -> None:
    """No run is made for it; why is said once."""
    service.wait("razer")
    service.answers["razer"] = answer
    said = service.run(lambda: service.tries("razer") >= 2)
    assert service.delivered == []
    (line,) = [line for line in said if line.startswith("razer")]
    assert expected in line


def test_what_needs_a_person_is_left_alone(service: Service) -> None:
    """A delivery that was rolled back is not tried again; the other host's is."""
    service.wait("razer", problem="2 checks failed")
    service.wait("samsung")
    service.answers = {"razer": STATE, "samsung": STATE}
    service.run(lambda: bool(service.delivered))
    assert service.delivered == [["samsung"]]


def test_what_waits_for_a_host_that_is_no_longer_there_stays(service: Service) -> None:
    """Another branch of the fleet may have it."""
    service.wait("gone")
    service.wait("razer")
    service.run(lambda: service.tries("razer") >= 1)
    assert service.pending.of("gone") is not None


def test_an_inventory_that_is_being_edited_ends_nothing(service: Service) -> None:
    """An inventory in the middle of an edit is reported once, and `watch` goes on."""
    service.wait("razer")
    service.answers["razer"] = STATE
    loads = 0

    def load() -> Setup:
        nonlocal loads
        loads += 1
        if 1 < loads < 5:
            raise UsageError("hosts.yaml: line 3")
        return service.setup

    service.load = load  # type: ignore[method-assign]
    said = service.run(lambda: bool(service.delivered))
    assert said.count(": hosts.yaml: line 3") == 1


def test_two_do_not_watch_one_fleet(service: Service, tmp_path: Path) -> None:
    """The second is told which process does; when that has ended, it may."""
    second = Watch(service.load, 0.01, service.events.append)
    named = f"another process \\({os.getpid()}\\)"
    with only_one(tmp_path), pytest.raises(OrchestratorError, match=named):
        asyncio.run(second.run())
    service.run(lambda: True)


def test_a_lock_that_cannot_be_looked_at_is_told(tmp_path: Path) -> None:
    """An error for a person, not a crash."""
    (tmp_path / "watch.lock").mkdir()
    with pytest.raises(OrchestratorError, match="cannot be found out"), only_one(tmp_path):
        pass


def test_systemd_is_told(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ready, how many wait, and the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.delenv("WATCHDOG_USEC", raising=False)
        service.wait("razer")
        service.run(lambda: service.tries("razer") >= 1)
        told = []
        with contextlib.suppress(BlockingIOError):
            while True:
                told.append(manager.recv(4096).decode())
    assert told[:2] == ["READY=1", "STATUS=1 waiting"]
    assert told[-1] == "STOPPING=1"
