"""Commands over a connection that is open: to their end, or their streams as they come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from orchestrator.core.bounds import ANSWER, Intake, TooMuchError
from orchestrator.core.errors import UnreachableError
from orchestrator.core.executor import Window
from orchestrator.core.process import CommandResult
from orchestrator.ssh.lean import asyncssh

T = TypeVar("T")

_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)
"""How long to wait before a session is asked for again, in seconds."""


async def opened(session: Callable[[], Awaitable[T]]) -> T:
    """Open a session, and ask again where the host has not yet ended the one before it.

    sshd gives a session's place free only once the command has ended and all of it was sent; where
    the host allows few of them on a connection (``MaxSessions``), the next may come too early.

    Args:
        session: Opens it.

    Raises:
        asyncssh.ChannelOpenError: The host refuses it still, after 1.5 seconds.
        OSError: The connection was lost.
        asyncssh.Error: Likewise.
    """
    for pause in _PAUSES:
        try:
            return await session()
        except asyncssh.ChannelOpenError:
            await asyncio.sleep(pause)
    return await session()


class _Answer(asyncssh.SSHClientSession[bytes]):
    """What a command says. asyncssh's own collects all that comes, however much it is."""

    def __init__(self) -> None:
        self.stdout = Intake(ANSWER)
        self.stderr = Intake(ANSWER)
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self.ended.done():
            return
        try:
            (self.stdout if datatype is None else self.stderr).take(data)
        except TooMuchError as error:
            self.ended.set_exception(error)
            self._channel.abort()

    def eof_received(self) -> bool:
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if not self.ended.done():
            self.ended.set_result(None)


async def said_by(
    connection: asyncssh.SSHClientConnection, command: str, stdin: bytes
) -> CommandResult | None:
    """Run one command to its end.

    Returns:
        Its result; ``None`` where the host never told how it ended.

    Raises:
        TooMuchError: The host sent more than is taken.
        OSError: The connection was lost.
        asyncssh.Error: Likewise, or the host runs no command.
    """
    answer = _Answer()
    channel, _ = await opened(
        lambda: connection.create_session(lambda: answer, command, encoding=None)
    )
    try:
        # A command may end before it reads: that is its own affair, and no lost connection.
        with contextlib.suppress(BrokenPipeError):
            channel.write(stdin)
            channel.write_eof()
        await answer.ended
        rc = channel.get_returncode()
        if rc is None:
            return None
        return CommandResult(rc, answer.stdout.taken, answer.stderr.taken)
    finally:
        answer.stdout.drop()
        answer.stderr.drop()
        # It is not waited for: OpenSSH's sshd agrees to close a session only when the command has
        # ended, whatever our deadline.
        channel.close()


Lost = Callable[[Exception | None], UnreachableError]
"""Says that the connection was lost; the cause, where one is known."""


class SshRunning:
    """See :class:`orchestrator.core.executor.Running`. Make it with :func:`started`."""

    def __init__(self, process: asyncssh.SSHClientProcess[bytes], lost: Lost) -> None:
        self._process = process
        self._lost = lost

    async def read(self, n: int, *, stderr: bool = False) -> bytes:
        """Read a stream; nothing more is taken from the host until it is read."""
        try:
            return await (self._process.stderr if stderr else self._process.stdout).read(n)
        except (OSError, asyncssh.Error) as error:
            raise self._lost(error) from error

    async def write(self, data: bytes) -> None:
        """Have it read bytes."""
        with contextlib.suppress(OSError, asyncssh.Error):
            self._process.stdin.write(data)
            await self._process.stdin.drain()

    def write_eof(self) -> None:
        """Have it see the end of its input."""
        with contextlib.suppress(OSError, asyncssh.Error):
            self._process.stdin.write_eof()

    async def wait(self) -> int:
        """Wait for its end."""
        try:
            await self._process.wait_closed()
        except (OSError, asyncssh.Error) as error:
            raise self._lost(error) from error
        rc = self._process.returncode
        if rc is None:
            raise self._lost(None)
        return rc

    def resize(self, columns: int, rows: int) -> None:
        """Say that its terminal has another size now."""
        with contextlib.suppress(OSError, asyncssh.Error):
            self._process.change_terminal_size(columns, rows)


@contextlib.asynccontextmanager
async def started(
    connection: asyncssh.SSHClientConnection,
    command: str | None,
    lost: Lost,
    *,
    prefix: bytes = b"",
    window: Window | None = None,
) -> AsyncIterator[SshRunning]:
    """Start a command; it loses its streams with the context.

    Args:
        connection: To the host.
        command: For the login shell there; ``None`` is that shell itself.
        lost: Says that the connection was lost.
        prefix: What it reads first.
        window: The terminal to give it; ``None``: none.

    Raises:
        UnreachableError: The connection was lost, or the host runs no command.
    """
    in_terminal: dict[str, object] = {}
    if window is not None:
        size = (window.columns, window.rows)
        in_terminal = {"request_pty": "force", "term_type": window.kind, "term_size": size}
    try:
        process: asyncssh.SSHClientProcess[bytes] = await opened(
            lambda: connection.create_process(command, encoding=None, **in_terminal)
        )
    except (OSError, asyncssh.Error) as error:
        raise lost(error) from error
    running = SshRunning(process, lost)
    try:
        await running.write(prefix)
        yield running
    finally:
        # Not waited for: a person who stops would wait for a host that is frozen.
        process.close()
