"""Commands as root over one connection, streams, and the host's Nix store on a local socket."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import AsyncIterator, Sequence

from orchestrator.core.bounds import TooMuchError
from orchestrator.core.checks import Login
from orchestrator.core.errors import FloodError, StepError, UnreachableError, cause_of
from orchestrator.core.executor import Stream, Window
from orchestrator.core.host import Connect, Host
from orchestrator.core.process import CommandResult
from orchestrator.ssh.become import become_by
from orchestrator.ssh.connect import connected, ssh_argv
from orchestrator.ssh.lean import asyncssh
from orchestrator.ssh.running import SshRunning, opened, said_by, started
from orchestrator.ssh.settings import SshSettings
from orchestrator.ssh.store_socket import served
from orchestrator.ssh.sudo import Sudo, SudoPassword
from orchestrator.ssh.verified import KEY

_CHECK_SECONDS = 30.0


class SshExecutor:
    """One open connection to one host. Make it with :func:`open_ssh`."""

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        host: Host,
        settings: SshSettings,
        password: SudoPassword | None,
    ) -> None:
        self._connection = connection
        self._host = host
        self._settings = settings

        async def plain(argv: Sequence[str], stdin: bytes) -> CommandResult:
            return await self._run(argv, deadline=_CHECK_SECONDS, stdin=stdin, shown=argv)

        user = connection.get_extra_info("username")
        self._sudo = Sudo(
            plain,
            password,
            needed=user != "root",
            allowed=host.connect.sudo,
            by=become_by(host.connect.become),
            user=user,
        )

    async def run(
        self, argv: Sequence[str], *, deadline: float, root: bool = True, stdin: bytes = b""
    ) -> CommandResult:
        """Run a command; see :class:`orchestrator.core.executor.Executor`."""

        async def plain(wrapped: Sequence[str], stdin: bytes) -> CommandResult:
            shown = self._sudo.by_hand(argv) if root else argv
            return await self._run(wrapped, deadline=deadline, stdin=stdin, shown=shown)

        return await (self._sudo.run(argv, stdin, plain) if root else plain(argv, stdin))

    async def _run(
        self, argv: Sequence[str], *, deadline: float, stdin: bytes, shown: Sequence[str]
    ) -> CommandResult:
        try:
            async with asyncio.timeout(deadline):
                done = await said_by(self._connection, shlex.join(argv), stdin)
        except TimeoutError:
            raise StepError(
                f"{argv[0]} did not end on the host within {deadline:.0f} s",
                command=self.repeat(shown),
            ) from None
        except TooMuchError as error:
            raise FloodError(
                f"the host sent {error} in answer to {argv[0]}, and was cut off",
                hint="see how it begins: a ForceCommand in sshd_config, or what its login shell "
                "reads at the start, may print without end",
                command=f"{self.repeat(('true',))} | head -c 1000",
            ) from None
        except (OSError, asyncssh.Error) as error:
            raise self._lost(error) from error
        if done is None:
            raise self._lost(None)
        return done

    def _lost(self, error: Exception | None) -> UnreachableError:
        cause = f": {cause_of(error)}" if error is not None and str(error) else ""
        return UnreachableError(
            f"the connection was lost{cause}",
            command=shlex.join(ssh_argv(self._target, self._settings)),
        )

    @property
    def _target(self) -> Connect:
        return self._settings.connect_for(self._host.name, self._host.connect)

    @contextlib.asynccontextmanager
    async def nix_store(self) -> AsyncIterator[str]:
        """Serve the host's store on a local socket.

        Each client of the socket gets a ``nix-daemon --stdio`` of its own on the host, run as
        root: so the copy takes the very way that our commands take, and needs no trusted user.
        """
        async with served(lambda: self.open(("nix-daemon", "--stdio"))) as store:
            yield store

    @contextlib.asynccontextmanager
    async def open(self, argv: Sequence[str]) -> AsyncIterator[Stream]:
        """Start a command; see :class:`orchestrator.core.executor.Executor`."""
        argv, prefix = await self._sudo.wrap(argv)
        try:
            command = shlex.join(argv)
            process = await opened(
                lambda: self._connection.create_process(
                    command, encoding=None, stderr=asyncssh.DEVNULL
                )
            )
            try:
                process.stdin.write(prefix)

                async def wait() -> int | None:
                    await process.wait_closed()
                    return process.returncode

                yield Stream(process.stdin, process.stdout, wait)
            finally:
                # Not `async with`: a person who stops would wait for a host that is frozen.
                process.close()
        except (OSError, asyncssh.Error) as error:
            raise self._lost(error) from error

    @contextlib.asynccontextmanager
    async def start(self, argv: Sequence[str], *, root: bool = True) -> AsyncIterator[SshRunning]:
        """Start a command; see :class:`orchestrator.core.executor.Executor`."""
        argv, prefix = await self._sudo.wrap(argv) if root else (argv, b"")
        command = shlex.join(argv)
        async with started(self._connection, command, self._lost, prefix=prefix) as running:
            yield running

    @contextlib.asynccontextmanager
    async def terminal(
        self, argv: Sequence[str], window: Window, *, root: bool, prompt: str
    ) -> AsyncIterator[tuple[SshRunning, SudoPassword | None]]:
        """Start a command, or a login shell where there is none, in a terminal.

        Args:
            argv: The command and its arguments; none: a login shell.
            window: The terminal.
            root: Whether it runs as root. Where sudo asks, it asks in that terminal.
            prompt: What sudo is to ask with.

        Returns:
            A context that gives it, and what sudo is to be answered; ``None``: it is given no
            password, or asks for none.

        Raises:
            UnreachableError: The connection was lost.
            RefusedError: Root is not to be had.
        """
        password = None
        if root:
            argv, password = await self._sudo.in_terminal(argv, prompt)
        command = shlex.join(argv) or None
        async with started(self._connection, command, self._lost, window=window) as running:
            yield running, password

    @property
    def login(self) -> Login:
        """Who logged in, and by which key."""
        user = self._connection.get_extra_info("username")
        kind, key = self._connection.get_extra_info(KEY) or ("", "")
        return self._sudo.login(user, kind, key)

    def repeat(self, argv: Sequence[str]) -> str:
        """Give the command line that runs ``argv`` there by hand."""
        return shlex.join((*ssh_argv(self._target, self._settings), shlex.join(argv)))


@contextlib.asynccontextmanager
async def open_ssh(
    host: Host, settings: SshSettings, password: SudoPassword | None = None
) -> AsyncIterator[SshExecutor]:
    """Connect to a host. Raises as :func:`orchestrator.ssh.connect.connected` does."""
    async with connected(host, settings) as connection:
        yield SshExecutor(connection, host, settings, password)
