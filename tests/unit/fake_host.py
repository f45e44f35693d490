"""A host in memory: it understands the scripts that hosts are given, and can be made to fail."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fake_guard import FakeGuard

from orchestrator.changes.knowledge import KnownSystems
from orchestrator.changes.source import Source
from orchestrator.core.catalogue import Feature
from orchestrator.core.checks import Login
from orchestrator.core.errors import FloodError, StepError, UnreachableError
from orchestrator.core.event import Event
from orchestrator.core.host import Connect, Deadlines, Fleet, Guard, Host, Limits, Preflight
from orchestrator.core.interrupt import Interrupt
from orchestrator.core.outcome import Outcome
from orchestrator.core.plan import Goal
from orchestrator.core.process import CommandResult
from orchestrator.core.risk import Acceptance, Risk
from orchestrator.core.run import DeployRequest, Run
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.deploy import work
from orchestrator.deploy.all_built import AllBuilt
from orchestrator.deploy.changing import activation
from orchestrator.deploy.copy.closure import Lacking
from orchestrator.deploy.copy.spool import Codec, WantedPath
from orchestrator.deploy.delivering import copying
from orchestrator.deploy.host import deploy_host
from orchestrator.deploy.work import HostWork, Session
from orchestrator.facts.question import QUESTION
from orchestrator.host import lock_scripts, scripts
from orchestrator.host.boot import BOOT_FAILURES, BOOT_PARTS, MISSING, REBOOT, SETTLED, SWITCHING
from orchestrator.host.contents import ON_HOST
from orchestrator.host.difference import ALONE, SIZE
from orchestrator.host.guard import orders
from orchestrator.host.preflight import PREFLIGHT
from orchestrator.host.restarts import RESTARTS
from orchestrator.host.setup import Gates, Setup
from orchestrator.nix import closure, joint
from orchestrator.nix import verbs as nix
from orchestrator.nix.verbs import Flake
from orchestrator.risk import assess
from orchestrator.risk.model import Surface
from orchestrator.rollout.rollout import Rollout
from orchestrator.ssh.settings import SshSettings

NAMES = {scripts.STATE: "state"}
QUESTIONS = {
    PREFLIGHT: "preflight",
    SWITCHING: "switching",
    BOOT_PARTS: "boot parts",
    REBOOT: "reboot",
    SETTLED: "settled",
    BOOT_FAILURES: "boot failures",
    MISSING: "way back",
    RESTARTS: "restarts",
    ON_HOST: "contents",
    SIZE: "size",
    ALONE: "compared",
    QUESTION: "facts",
}
"""What is asked besides; a call of one is noted only where something is to go wrong with it."""
PROGRAM = "the guard"
LOCKING = {lock_scripts.TAKE: "take", lock_scripts.RENEW: "renew", lock_scripts.RELEASE: "release"}


def locking(text: str) -> str | None:
    """Which of the lock's scripts it is, or has in it."""
    return next((verb for script, verb in LOCKING.items() if script in text), None)


def system(letter: str) -> OutPath:
    """A system's path."""
    return OutPath(f"/nix/store/{letter * 32}-nixos-system-p620-{letter}")


# A host that wants nothing: it has room, and no component whose change needs a boot.
ANSWER = b"""user=0
clock=0
read_only=
store=1048576 4096 100000 90000
activation=
nix=works
end=
"""
OLD, NEW, ELSE = system("d"), system("n"), system("x")
Fault = Callable[["FakeHost"], CommandResult | None]


@dataclass
class FakeHost:
    """What a host is, and what is to go wrong there.

    Attributes:
        opened: How many connections were made to it.
        commands: How many commands were run there.
        faults: What happens instead, or before, by the name of a step. For scripts the name of
            the script, for the guard's verbs the verb, for connections ``connect``, for what the
            guard does ``in activate``, ``in commit``, ``in return``. Each is used up, in order;
            ``None`` is no fault.
        said: The arguments of the last script.
        guard: What changes it.
        answers: What it says to preflight's question and the like.
        programs: How a program ends that is run there, by its last word.
    """

    running: OutPath | None = OLD
    profile: OutPath | None = OLD
    boot_default: OutPath | None = OLD
    boot_source: str = "systemd-boot"
    booted: OutPath | None = OLD
    boot_id: str = "b"
    failed: tuple[str, ...] = ()
    record: dict[str, str] | None = None
    reachable: bool = True
    faults: dict[str, list[Fault | None]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    connections: int = 0
    opened: int = 0
    commands: int = 0
    said: tuple[str, ...] = ()
    locked_by: str | None = None
    answers: dict[str, bytes] = field(default_factory=dict)
    programs: dict[str, CommandResult] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.guard = FakeGuard(self)

    @property
    def state(self) -> tuple[OutPath | None, OutPath | None, OutPath | None]:
        """Running system, profile, boot default."""
        return self.running, self.profile, self.boot_default

    def goes_wrong(self, name: str, *faults: Fault | None) -> None:
        """Have the first calls of a step meet faults."""
        self.faults.setdefault(name, []).extend(faults)

    def meet(self, name: str) -> CommandResult | None:
        """Note a call and let its fault happen."""
        self.calls.append(name)
        queue = self.faults.get(name)
        fault = queue.pop(0) if queue else None
        return fault(self) if fault is not None else None

    def meet_in_passing(self, name: str) -> None:
        """Let a call's fault happen; such a call is noted only where it has one."""
        if self.faults.get(name):
            self.meet(name)

    def state_text(self) -> str:
        """What the script STATE prints."""
        lines = ["machine_id=m", f"boot_id={self.boot_id}"]
        values = (
            ("running", self.running),
            ("booted", self.booted),
            ("profile", self.profile),
        )
        lines += [f"{key}={value}" for key, value in values if value is not None]
        if self.boot_source != "profile":
            lines += [f"boot_default={self.boot_default or ''}", f"boot_source={self.boot_source}"]
        lines += [f"failed={unit}" for unit in self.failed]
        if self.record is not None:
            lines += [f"record.{key}={value}" for key, value in self.record.items()]
        if self.locked_by is not None:
            lines += [*self.lock_lines(self.locked_by), "uptime=1000"]
        return "\n".join((*lines, self.guard.text()))

    def lock(self, verb: str, token: str) -> str:
        """Do one of the lock's scripts: a lock counts here until it is released."""
        before = self.locked_by
        done = before in (None, token) if verb == "take" else before == token
        if done:
            self.locked_by = None if verb == "release" else token
        lines = ["uptime=1000", f"answer={'done' if done else 'locked'}"]
        if before:
            lines += self.lock_lines(before)
        return "\n".join(lines)

    def lock_lines(self, token: str) -> list[str]:
        """What is told of a lock."""
        return ["lock=", f"lock.token={token}", "lock.who=bob@sofa", "lock.expires=1090"]


class FakeExecutor:
    """One connection to a fake host."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.open = True

    async def run(
        self, argv: Sequence[str], *, deadline: float, root: bool = True, stdin: bytes = b""
    ) -> CommandResult:
        """Interpret one of the scripts."""
        del deadline
        await asyncio.sleep(0)
        self.host.commands += 1
        assert root or argv[0] != "/bin/sh", "these scripts are root's"
        if not (self.open and self.host.reachable):
            raise UnreachableError("the connection was lost")
        if argv[0] != "/bin/sh":
            return self.host.programs.get(argv[-1], CommandResult(0, b"", b""))
        if (question := QUESTIONS.get(argv[2])) is not None:
            early = self.host.meet(question) if self.host.faults.get(question) else None
            return early or CommandResult(0, self.host.answers.get(question, ANSWER), b"")
        if argv[2] == scripts.KEEP:
            return CommandResult(1, b"", b"")  # It lacks what is to come.
        if (verb := locking(argv[2])) is not None:
            self.host.meet_in_passing(verb)
            said = self.host.lock(verb, argv[4])
            if not argv[2].endswith(scripts.STATE):
                return CommandResult(0, said.encode(), b"")
            return self._with_state(said)
        name = NAMES.get(argv[2]) or argv[4]
        self.host.said = tuple(argv[4:])
        try:
            early = self.host.meet(name)
        except UnreachableError:
            self.open = False
            raise
        if early is not None:
            return early
        if name in NAMES.values():
            return CommandResult(0, self.host.state_text().encode(), b"")
        assert stdin == PROGRAM.encode(), "the guard's verbs bring the guard"
        return self.host.guard.say(*argv[4:])

    def _with_state(self, said: str) -> CommandResult:
        """Answer a script of the lock's that asks for the state, too."""
        try:
            early = self.host.meet("state")
        except UnreachableError:
            self.open = False
            raise
        host = self.host.state_text() if early is None else early.stdout.decode()
        text = f"{said}\norchestrator-host\n{host}"
        return CommandResult(early.rc if early else 0, text.encode(), b"")

    @contextlib.asynccontextmanager
    async def start(self, argv: Sequence[str], *, root: bool = True) -> AsyncIterator[KeptRoot]:
        """Keep a process of root's, which passes words on to the guard."""
        await asyncio.sleep(0)
        assert root, "this process is root's"
        assert argv[5] == "pass_on"
        self.host.meet_in_passing("keep root")
        yield KeptRoot(self, argv[6])

    @contextlib.asynccontextmanager
    async def nix_store(self) -> AsyncIterator[str]:
        """Give some store."""
        yield "unix:///fake"

    @property
    def login(self) -> Login:
        """Root, by no key: what its next system lets in is not asked."""
        return Login("root")

    def repeat(self, argv: Sequence[str]) -> str:
        """Give a command line."""
        return shlex.join(("ssh", "p620", *argv))


class KeptRoot:
    """What reads the guard's program, then why it is to go back, and answers each with a line."""

    def __init__(self, executor: FakeExecutor, token: str) -> None:
        self._executor = executor
        self._token = token
        self._answers = [b""]

    async def write(self, data: bytes) -> None:
        """Take the program, or a reason."""
        await asyncio.sleep(0)
        if not (self._executor.open and self._executor.host.reachable):
            raise UnreachableError("the connection was lost")
        if data != PROGRAM.encode():
            self._executor.host.meet("passed on")
            self._executor.host.guard.say("back", self._token, data.decode().rstrip("\n"))
        self._answers.insert(0, b"heard\n")

    async def read(self, n: int, *, stderr: bool = False) -> bytes:
        """Give its answer."""
        del n, stderr
        await asyncio.sleep(0)
        return self._answers.pop(0)

    def write_eof(self) -> None:
        """Take the end."""

    async def wait(self) -> int:
        """End well."""
        return 0

    def resize(self, columns: int, rows: int) -> None:
        """Have no terminal."""


class EagerLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to what is next, so that no deadline is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._ahead = 0.0

    def time(self) -> float:
        """Give the loop's own time."""
        return super().time() + self._ahead

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            until: float = self._scheduled[0].when()  # type: ignore[attr-defined]
            self._ahead += max(0.0, until - self.time())
        super()._run_once()  # type: ignore[misc]


class Bench:
    """A run with one fake host.

    Attributes:
        host: The fake host.
        events: What the engine emitted.
        interrupt: The wish to stop.
    """

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self.host = FakeHost()
        self.folder = folder
        self.events: list[Event] = []
        self.interrupt: Interrupt
        self.deadlines = Deadlines()
        self.guard = Guard()
        self.limits = Limits()
        self.catalogue: dict[str, Feature] = {}
        self.target = NEW
        self.revision: str | None = "abc"
        self.flake: str | None = None
        self.evaluate: Callable[[], None] = lambda: None
        self.preflight = Preflight(clock_skew=1e12)
        self.verify: Callable[[], None] = lambda: None
        self.verify_seconds = 0.0
        self.delivered: list[str] = []
        self.all_built = AllBuilt()
        self.max_risk: Risk | None = None
        self.accept_risk: Acceptance | None = None
        self.surface: Surface | StepError = StepError("no Nix")
        self.assessed = 0
        patch.setattr(assess, "evaluate", self._surface)
        patch.setattr(work, "reach", self._reach)
        patch.setattr(nix, "evaluate", self._evaluate)
        patch.setattr(joint, "evaluate_with", self._only_the_system)
        patch.setattr(closure, "keep", self._keep)
        patch.setattr(nix, "build_on", self._step("build on"))
        patch.setattr(nix, "copy", self._step("copy"))
        patch.setattr(copying, "lacking", self._lacking)
        patch.setattr(activation, "verify", self._verify)
        patch.setattr(orders, "program", lambda: PROGRAM)

    @contextlib.asynccontextmanager
    async def _reach(self, *_: object) -> AsyncIterator[FakeExecutor]:
        await asyncio.sleep(0)
        self.host.meet("connect")
        if not self.host.reachable:
            raise UnreachableError("no SSH connection")
        self.host.connections += 1
        self.host.opened += 1
        executor = FakeExecutor(self.host)
        try:
            yield executor
        finally:
            executor.open = False
            self.host.connections -= 1

    async def _evaluate(self, *_: object, **__: object) -> Evaluated:
        await asyncio.sleep(0)
        self.evaluate()
        return Evaluated(DrvPath(f"{self.target}.drv"), self.target)

    async def _only_the_system(self, *_: object, **__: object) -> None:
        """Evaluate nothing beside a system: each is asked for by itself."""

    async def _surface(self, *_: object, **__: object) -> Surface:
        await asyncio.sleep(0)
        self.assessed += 1
        if isinstance(self.surface, StepError):
            raise self.surface
        return self.surface

    async def _lacking(self, _: object, out: OutPath) -> Lacking:
        return Lacking((WantedPath(out.path, 4096),), (Codec.ZSTD,))

    async def _keep(self, *_: object) -> bool:
        """Find the system built already; what building is made of has tests of its own."""
        await self._step("build")()
        return True

    def _step(self, name: str) -> Callable[..., Any]:
        async def step(*_: object, **__: object) -> None:
            await asyncio.sleep(0)
            self.host.meet(name)
            self.delivered.append(name)

        return step

    async def _verify(self, *_: object) -> None:
        self.host.calls.append("verify")
        self.verify()
        await asyncio.sleep(self.verify_seconds)

    def deploy(self, goal: Goal = Goal.SWITCH, **request: Any) -> Outcome:
        """Bring the host to a goal."""
        with asyncio.Runner(loop_factory=EagerLoop) as runner:
            return runner.run(self.deploying(DeployRequest(goal=goal, **request)))

    async def deploying(self, request: DeployRequest) -> Outcome:
        """Bring the host to a goal."""
        (share,) = self.shares(request, "p620")
        outcome = await deploy_host(share)
        assert self.host.connections == 0, "every connection is closed at the end"
        return outcome

    def shares(self, request: DeployRequest, *names: str) -> list[HostWork]:
        """Begin a run of some names, all of which lead to the host."""
        hosts = {
            name: Host(
                *(name, name, Connect("192.0.2.1")),
                deadlines=self.deadlines,
                guard=self.guard,
                preflight=self.preflight,
                max_risk=self.max_risk,
                accept_risk=self.accept_risk,
                features=tuple(self.catalogue),
                flake=self.flake,
            )
            for name in names
        }
        fleet = Fleet(
            *("f", str(self.folder), str(self.folder), hosts),
            limits=self.limits,
            features=self.catalogue,
        )
        flake = Flake.at(fleet.flake, fleet.root)
        self.interrupt = Interrupt(lambda _: None)
        setup = Setup(fleet, flake, SshSettings(), self.folder)
        gates = Gates.of(self.limits)
        session = Session(
            setup=setup,
            request=request,
            run=_run(self.folder, self.revision),
            gates=gates,
            known=KnownSystems(setup, tuple(hosts.values()), use=request.cache),
            source=Source(flake),
            interrupt=self.interrupt,
            emit=self.events.append,
            token="7-abcd",
            rollout=Rollout(),
            all_built=self.all_built,
        )
        shares = [HostWork(session, host) for host in hosts.values()]
        for share in shares:
            share._nonce = "00ff"
            session.rollout.works[share.host.name] = share
        return shares


def _run(folder: Path, revision: str | None) -> Run:
    return Run(7, str(folder), "me@here", revision, datetime(2024, 5, 6, tzinfo=UTC))


def exits(rc: int, log: str = "") -> Fault:
    """Work in a unit that ends with a code and does nothing; ``-1`` is a kill."""
    return lambda _: CommandResult(rc, b"", log.encode())


def loses_connection(_: FakeHost) -> CommandResult | None:
    """The connection is lost before anything was done."""
    raise UnreachableError("the connection was lost")


def refuses_login(_: FakeHost) -> CommandResult | None:
    """The host is there and lets nobody in."""
    raise StepError("me@192.0.2.1 refused the login")


def floods(_: FakeHost) -> CommandResult | None:
    """It answers without end."""
    raise FloodError("the host sent more than 16 MiB in answer to /bin/sh, and was cut off")


def passes_deadline(_: FakeHost) -> CommandResult | None:
    """A command does not end in time."""
    raise StepError("/bin/sh did not end on the host within 5 s")


def vanishes(host: FakeHost) -> CommandResult | None:
    """The host is unreachable from here on."""
    host.reachable = False
    return None


def then(change: Callable[[FakeHost], None], rc: int = 0) -> Fault:
    """Work in a unit that does something else, and ends with a code."""

    def fault(host: FakeHost) -> CommandResult:
        change(host)
        return CommandResult(rc, b"", b"")

    return fault


def turns(why: str) -> Fault:
    """The guard goes back by itself."""
    return lambda host: host.guard.turn(why)


def boots(host: FakeHost) -> CommandResult | None:
    """The power is cut and comes back."""
    host.guard.boot()
    raise UnreachableError("the connection was lost")


def begins_late(host: FakeHost) -> CommandResult | None:
    """The host hangs for a minute while it starts the guard."""
    host.guard.say(*host.said)
    raise StepError("/bin/sh did not end on the host within 60 s")


def left(host: FakeHost, state: str, target: OutPath = NEW, **more: str) -> None:
    """Leave an attempt on a host, as far as its state says."""
    host.guard.lines = {
        "token": "6-dead",
        "run": "6",
        "who": "bob@sofa",
        "goal": "switch",
        "began": "1700000000",
        "target": target.path,
        **dict.fromkeys(("running", "profile", "boot_default"), OLD.path),
        "boot_source": "systemd-boot",
        "machine_id": "m",
        "boot_id": "b",
        "activate_seconds": "600",
        "confirm_seconds": "180",
        "health_seconds": "600",
        "state": state,
        **more,
    }
    if state in ("waiting", "checking", "committing"):
        host.running = target
