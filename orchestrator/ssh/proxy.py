"""A ``ProxyCommand``: which it is, connections over it, and why it failed: ssh_config(5)."""

from __future__ import annotations

import asyncio
import math
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from orchestrator.core.errors import UnreachableError
from orchestrator.core.patterns import pattern
from orchestrator.core.process import how_it_ended
from orchestrator.ssh.said import Said
from orchestrator.ssh.tokens import SHELL, TAME, expanded, refused, tokens_of


def proxy_command(said: Said, alias: str) -> list[str] | None:
    """The argv of what connects to a host.

    Args:
        said: What ssh says of it.
        alias: Its ``HostKeyAlias``.

    Raises:
        StepError: Here it would not mean what it means to ssh.
    """
    if not said.command:
        return None
    if said.answer.one("proxyusefdpass") == "yes":
        raise refused(said, "ProxyUseFdpass is not supported", "have the command move the bytes")
    tokens = tokens_of(said, alias)
    for name, value in tokens.items():
        if f"%{name}" in said.command and not TAME.fullmatch(value):
            raise refused(said, f"%{name} in ProxyCommand, which is {value!r}", "rename it")
    text = expanded(said, "ProxyCommand", said.command, tokens)
    return [os.environ.get("SHELL") or SHELL, "-c", f"exec {text}"]


class ProxyCommand:
    """Opens connections by a ``ProxyCommand``, as asyncssh asks a jump host for them.

    asyncssh's own takes what the command says on its stderr for the host's words.

    Attributes:
        argv: What is run.
        rc: The exit code of the last one that ended by itself; ``None``: none did.
        stderr: The end of what that said there.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv = tuple(argv)
        self.rc: int | None = None
        self.stderr = b""

    async def create_connection(
        self,
        session_factory: Callable[[], Any],
        remote_host: str,  # noqa: ARG002 (the command knows)
        remote_port: int,  # noqa: ARG002
    ) -> tuple[Any, Any]:
        """Run it.

        Raises:
            OSError: It cannot be run.
        """
        loop = asyncio.get_running_loop()
        self.rc, self.stderr = None, b""
        _, pipes = await loop.subprocess_exec(
            lambda: _Pipes(self, session_factory()), *self.argv, start_new_session=True
        )
        return pipes, pipes.session

    def close(self) -> None:
        """Close nothing: each connection is closed by who asked for it."""

    async def wait_closed(self) -> None:
        """Wait for nothing."""

    @property
    def failure(self) -> str:
        """How it failed, in words; empty where it did not."""
        if not self.rc:
            return ""
        last = self.stderr.decode(errors="replace").strip().rpartition("\n")[2].strip()
        return f"{how_it_ended(self.rc)}{f': {last}' if last else ''}"

    def most_tries(self) -> float:
        """How often it is worth while to run it: what it lacks, it lacks the next time, too.

        Where a host before it closes connections, it is the deadline that says.
        """
        if not self.rc or _SHUT.search(self.stderr):
            return math.inf
        return 1 if self.rc in (126, 127) else _FEW_TRIES

    def fault(self, address: str, command: str | None = None) -> UnreachableError:
        """Say that it failed: on the way to which host, and what a person would type."""
        return UnreachableError(
            f"no SSH connection to {address}: its ProxyCommand failed: {self.failure}",
            hint=f"ProxyCommand came to no session; by hand: {self.argv[-1]}",
            command=command,
            stderr=self.stderr.decode(errors="replace"),
        )


_SHUT = pattern(rb"closed by remote host|Connection (reset|closed)|kex_exchange_identification")
"""What ssh and others say where a host before it closes a connection, as ``MaxStartups`` does."""


class _Pipes(asyncio.SubprocessProtocol):
    """A command's pipes, as the transport of a session."""

    def __init__(self, proxy: ProxyCommand, session: Any) -> None:
        self.session = session
        self._proxy = proxy
        self._transport: Any = None
        self._left = False
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.session.connection_made(self)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1:
            self.session.data_received(data)
        else:
            self._proxy.stderr = (self._proxy.stderr + data)[-_STDERR:]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002
        # Why it ended is known when it has; one that stays after that is waited for no longer.
        if fd == 1:
            asyncio.get_running_loop().call_later(_LINGERS, self._end)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if not self._left:
            self._proxy.rc = self._transport.get_returncode()
        self._end()

    def _end(self) -> None:
        if not self._lost:
            self._lost = True
            self.session.connection_lost(None)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Say what the process's transport says."""
        return self._transport.get_extra_info(name, default)

    def write(self, data: bytes) -> None:
        """Write to the command."""
        self._transport.get_pipe_transport(0).write(data)

    def abort(self) -> None:
        """End the command."""
        self.close()

    def close(self) -> None:
        """End the command, and hang up, as ssh does, on what it started."""
        self._left = True
        if self._transport.get_returncode() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._transport.get_pid(), signal.SIGHUP)
        self._transport.close()


_FEW_TRIES = 3
_STDERR = 4000
_LINGERS = 1.0
