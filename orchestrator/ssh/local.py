"""The machine one sits on: the same commands, without SSH to itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from orchestrator.core import process
from orchestrator.core.bounds import ANSWER
from orchestrator.core.checks import Login
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Stream
from orchestrator.core.host import Host
from orchestrator.core.machine import user_name
from orchestrator.core.process import CommandResult
from orchestrator.ssh.become import become_by
from orchestrator.ssh.sudo import Sudo, SudoPassword

MACHINE_ID = Path("/etc/machine-id")
_CHECK_SECONDS = 30.0


def this_machine_id() -> str | None:
    """The content of this machine's ``/etc/machine-id``: machine-id(5)."""
    try:
        return MACHINE_ID.read_text().strip() or None
    except OSError:
        return None


def is_this_machine(host: Host) -> bool:
    """Whether the inventory says that ``host`` is the machine that this runs on.

    A host name is no proof: two machines may bear the same one. The machine-id is.
    """
    return host.machine_id is not None and host.machine_id == this_machine_id()


class LocalRunning:
    """See :class:`orchestrator.core.executor.Running`."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child

    async def read(self, n: int, *, stderr: bool = False) -> bytes:
        """Read a stream."""
        pipe = self._child.stderr if stderr else self._child.stdout
        assert pipe is not None
        return await pipe.read(n)

    async def write(self, data: bytes) -> None:
        """Have it read bytes."""
        assert self._child.stdin is not None
        with contextlib.suppress(OSError):
            self._child.stdin.write(data)
            await self._child.stdin.drain()

    def write_eof(self) -> None:
        """Have it see the end of its input."""
        assert self._child.stdin is not None
        self._child.stdin.close()

    async def wait(self) -> int:
        """Wait for its end."""
        return await self._child.wait()

    def resize(self, columns: int, rows: int) -> None:
        """It has no terminal."""


class LocalExecutor:
    """Commands on this machine, as root through sudo where need be."""

    def __init__(self, host: Host, password: SudoPassword | None = None) -> None:
        async def plain(argv: Sequence[str], stdin: bytes) -> CommandResult:
            return await process.run(argv, deadline=_CHECK_SECONDS, stdin=stdin, bound=ANSWER)

        self._by = become_by(host.connect.become)
        self._sudo = Sudo(
            plain,
            password,
            needed=os.geteuid() != 0,
            allowed=host.connect.sudo,
            by=self._by,
            user=user_name(),
        )

    async def run(
        self, argv: Sequence[str], *, deadline: float, root: bool = True, stdin: bytes = b""
    ) -> CommandResult:
        """Run a command; see :class:`orchestrator.core.executor.Executor`."""

        async def plain(wrapped: Sequence[str], stdin: bytes) -> CommandResult:
            try:
                return await process.run(wrapped, deadline=deadline, stdin=stdin, bound=ANSWER)
            except StepError as error:
                error.command = shlex.join(self._sudo.by_hand(argv) if root else argv)
                raise

        return await (self._sudo.run(argv, stdin, plain) if root else plain(argv, stdin))

    @contextlib.asynccontextmanager
    async def open(self, argv: Sequence[str]) -> AsyncIterator[Stream]:
        """Start a command; see :class:`orchestrator.core.executor.Executor`."""
        argv, prefix = await self._sudo.wrap(argv)
        async with process.started(argv) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(prefix)
            yield Stream(child.stdin, child.stdout, child.wait)

    @contextlib.asynccontextmanager
    async def start(self, argv: Sequence[str], *, root: bool = True) -> AsyncIterator[LocalRunning]:
        """Start a command; see :class:`orchestrator.core.executor.Executor`."""
        argv, prefix = await self._sudo.wrap(argv) if root else (argv, b"")
        async with process.started(argv) as child:
            running = LocalRunning(child)
            await running.write(prefix)
            yield running

    @contextlib.asynccontextmanager
    async def nix_store(self) -> AsyncIterator[str]:
        """This machine's own store, by whichever way Nix reaches it."""
        yield "auto"

    @property
    def login(self) -> Login:
        """Who runs this."""
        return self._sudo.login(user_name())

    def repeat(self, argv: Sequence[str]) -> str:
        """Give the command line that runs ``argv`` by hand."""
        return shlex.join(argv if os.geteuid() == 0 else (*self._by.terminal, *argv))
