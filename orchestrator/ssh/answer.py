"""One command over an open connection, and its answer, of which no more is taken than its bound."""

from __future__ import annotations

import asyncio
import contextlib

from orchestrator.core.bounds import ANSWER, Intake, TooMuchError
from orchestrator.core.process import CommandResult
from orchestrator.ssh.lean import asyncssh


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
    channel, _ = await connection.create_session(lambda: answer, command, encoding=None)
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
