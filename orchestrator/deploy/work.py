"""One host's share of a run: its phase, its log, its place among those under way."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct, field

from orchestrator.changes.knowledge import KnownSystems
from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.event import LogLine, Notice, Phase, PhaseStarted, Progress
from orchestrator.core.executor import Executor
from orchestrator.core.host import Host
from orchestrator.core.interrupt import Interrupt
from orchestrator.core.outcome import Outcome, Problem
from orchestrator.core.risk import RiskChange
from orchestrator.core.run import Before, DeployRequest, Run
from orchestrator.core.token import token_of
from orchestrator.core.units import split_lines
from orchestrator.deploy.names import Names
from orchestrator.host.setup import Emit, Gates, Setup, reach

if TYPE_CHECKING:
    from orchestrator.changes.source import Source
    from orchestrator.core.contents import Contents
    from orchestrator.core.store import OutPath
    from orchestrator.deploy.all_built import AllBuilt
    from orchestrator.deploy.copy.closure import Lacking
    from orchestrator.deploy.copy.links import Copies
    from orchestrator.deploy.delivering.building import Builds
    from orchestrator.deploy.delivering.caches import Pushes
    from orchestrator.deploy.history import History
    from orchestrator.nix.evaluation import Evaluations
    from orchestrator.nix.joint import Beside
    from orchestrator.rollout.rollout import Rollout
    from orchestrator.secrets.model.repository import HostSecrets
    from orchestrator.secrets.on_host import RunSecrets


class HostSlot:
    """A place that can be given up for a while."""

    def __init__(self) -> None:
        self._places: asyncio.Semaphore | None = None

    @contextlib.asynccontextmanager
    async def among(self, places: asyncio.Semaphore) -> AsyncIterator[None]:
        """Have one of the places while the context is open."""
        await places.acquire()
        self._places = places
        try:
            yield
        finally:
            self._give_up()

    @contextlib.asynccontextmanager
    async def given_up(self) -> AsyncIterator[None]:
        """Give it to others meanwhile: who waits for others must not be in their way."""
        places = self._places
        self._give_up()
        yield
        if places is not None:
            await places.acquire()
            self._places = places

    def _give_up(self) -> None:
        places, self._places = self._places, None
        if places is not None:
            places.release()


STDERR_LINES = 20
"""How many of a command's last lines a person is shown; the log has them all."""

LOG_SIZE = 32 << 20
"""Characters of a host's log in one run: what an activation or a build prints may never end."""

LONGEST_LINE = 10_000
"""Characters of one line of it."""

_LINE_COST = 100
"""Characters that a line takes beside its own: an empty one is an event all the same."""

_FULL = f"… the log of this host ends here: it is longer than {LOG_SIZE >> 20} MiB"


class Session(Struct, frozen=True, eq=False, dict=True):
    """What all hosts of a run share.

    What only a change needs is imported and made when the first host asks for it: a run that
    changes nothing does without.

    Attributes:
        source: What is evaluated, where anything must be.
        token: Names the run on hosts; no two runs from any machine share it.
        contents: What systems in the store of this machine consist of, which were read.
        reading: Held while one is read: many hosts are to run the same.
    """

    setup: Setup
    request: DeployRequest
    run: Run
    gates: Gates
    known: KnownSystems
    source: Source
    interrupt: Interrupt
    emit: Emit
    token: str
    rollout: Rollout
    all_built: AllBuilt
    names: Names = field(default_factory=Names)
    contents: dict[OutPath, Contents] = field(default_factory=dict)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    @cached_property
    def evaluations(self) -> Evaluations:
        """The run's evaluations.

        Raises:
            UsageError: The environment limits them to what is no size.
        """
        from orchestrator.nix.evaluation import Evaluations

        setup, hosts = self.setup, self.known.hosts
        return Evaluations(self.source, setup.fleet.limits, setup.state, len(hosts), self._beside)

    def _beside(self, host: Host) -> Beside | None:
        """What is evaluated with a host's system: what its risk is of, where that is judged."""
        if not (self.request.goal.changes_host and (host.max_risk or self.request.plan_only)):
            return None
        from orchestrator.risk.assess import beside

        return beside(self.setup, host)

    @cached_property
    def builds(self) -> Builds:
        """The run's builds."""
        from orchestrator.deploy.delivering.building import Builds

        return Builds.of(self.setup, self.gates)

    @cached_property
    def pushes(self) -> Pushes:
        """What the run copies to caches."""
        from orchestrator.deploy.delivering.caches import Pushes

        return Pushes.of(self.setup)

    @cached_property
    def copies(self) -> Copies:
        """What the run's copies share."""
        from orchestrator.deploy.copy.links import Copies

        return Copies(self.setup.state)

    @cached_property
    def secrets(self) -> RunSecrets:
        """What the run knows of secrets."""
        from orchestrator.secrets.on_host import RunSecrets

        return RunSecrets(self.setup)

    @cached_property
    def history(self) -> History:
        """What git says of the run's commits."""
        from orchestrator.deploy.history import History

        return History()

    async def close(self) -> None:
        """Let go of what hosts shared; all of them have come to their end."""
        if "copies" in vars(self):
            await self.copies.close()


class HostWork:
    """One host's share of a run.

    Attributes:
        phase: What the host is busy with.
        began: When its turn came, by the monotonic clock.
        before: What the host was before it began to be changed.
        ended: The host's outcome, as soon as it was changed: no interruption makes that undone.
        lacks: What is to be copied to it, once that was asked.
        has_target: Whether it was found to have its system, which then was not built.
        secrets: What its configuration says of them, once that was evaluated.
        risk: How its risk changes, once that was assessed.
        accepted: What of its risk is more than its policy has it, and was accepted.
        place: Among the hosts that are under way.
        seconds: How long it took; 0 before its end.
    """

    def __init__(self, session: Session, host: Host) -> None:
        self.session = session
        self.host = host
        self.phase = Phase.WAIT
        self.began = time.monotonic()
        self.before: Before | None = None
        self.ended: Outcome | None = None
        self.lacks: Lacking | None = None
        self.has_target = False
        self.secrets: HostSecrets | None = None
        self.risk: RiskChange | None = None
        self.accepted: tuple[str, ...] = ()
        self.place = HostSlot()
        self._room = LOG_SIZE
        self.seconds = 0.0
        self._nonce = secrets.token_hex(4)

    @property
    def token(self) -> str:
        """Names this share of the run on the host."""
        return token_of(self.session.token, self.host.name, self._nonce)

    async def revision(self) -> str | None:
        """The commit that its system is of: the run's, or that of a flake of its own."""
        session = self.session
        if self.host.flake is None or self.host.name in session.request.systems:
            return session.run.revision
        from orchestrator.deploy.history import revision_of

        return await revision_of(session.setup, session.known, self.host)

    @contextlib.contextmanager
    def step(self, phase: Phase) -> Iterator[None]:
        """Enter a phase; an error that leaves it bears its name."""
        self.phase = phase
        self.session.emit(PhaseStarted(self.host.name, phase))
        try:
            yield
        except StepError as error:
            error.step = error.step or _STEP[phase]
            raise

    @contextlib.asynccontextmanager
    async def turn(self, phase: Phase, gate: asyncio.Semaphore) -> AsyncIterator[None]:
        """Wait for a turn at a scarce resource, then enter the phase."""
        async with gate:
            with self.step(phase):
                yield

    def log(self, text: str) -> None:
        """Put lines into the host's log, as long as it is not so full that nobody reads it."""
        for line in split_lines(text):
            if self._room <= 0:
                return
            line = line[:LONGEST_LINE]
            self._room -= len(line) + _LINE_COST
            self.session.emit(LogLine(self.host.name, line if self._room > 0 else _FULL))

    def notice(self, text: str, *, warning: bool = False) -> None:
        """Tell a person a sentence about this host now."""
        self.session.emit(Notice(text, self.host.name, warning))

    def doing(self, text: str) -> None:
        """Show what the host is at within its phase."""
        self.session.emit(Progress(self.host.name, text))

    def on_nix_line(self, line: bytes) -> None:
        """Log a line of Nix's, and show what it is at."""
        from orchestrator.nix import log as nix_log

        if text := nix_log.text(line):
            self.log(text)
        if doing := nix_log.progress(line):
            self.doing(doing)

    async def connect(self, stack: contextlib.AsyncExitStack) -> Executor:
        """Open a new way to the host; ``stack`` closes it."""
        return await stack.enter_async_context(reach(self.session.setup, self.host))


_STEP = {
    Phase.WAIT: "wait",
    Phase.EVALUATE: "evaluate",
    Phase.ASK: "connect",
    Phase.BUILD: "build",
    Phase.PREFLIGHT: "preflight",
    Phase.COPY: "copy",
    Phase.ACTIVATE: "activate",
    Phase.PROVE: "prove",
    Phase.VERIFY: "verify",
    Phase.COMMIT: "commit",
    Phase.ROLL_BACK: "roll back",
    Phase.REBOOT: "reboot",
}


def step_name(phase: Phase) -> str:
    """What a report calls the step of a phase."""
    return _STEP[phase]


def problem_of(error: StepError, host_state: str | None = None) -> Problem:
    """Put an error into the words of a report."""
    return Problem(
        step=error.step or "deploy",
        message=error.message,
        hint=error.hint,
        command=error.command,
        stderr=tuple(line[:LONGEST_LINE] for line in split_lines(error.stderr)[-STDERR_LINES:]),
        host_state=host_state,
        # What was touched before is told as failed: whoever refused then knew nothing of that.
        refused=isinstance(error, RefusedError) and host_state is None,
        checks=error.checks if isinstance(error, RefusedError) else (),
    )
