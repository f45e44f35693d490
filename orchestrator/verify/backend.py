"""The suite's side of the socket: a testinfra backend that hands each command to the deployment."""

from __future__ import annotations

import shlex
import socket
from dataclasses import dataclass
from typing import Any

from testinfra.backend import base  # type: ignore[import-untyped]

from orchestrator.verify import wire

_KEPT = 4000
"""Bytes of a command's output that are kept for the record: the last ones tell the cause."""


class ConnectionLost(Exception):  # noqa: N818 -- a check prints it; it reads as a sentence
    """The host could not be asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A command that a check ran on the host, and the end of the answer."""

    command: str
    rc: int
    stdout: bytes
    stderr: bytes


class DeploymentBackend(base.BaseBackend):  # type: ignore[misc]
    """Runs commands on the host over the deployment's open connection, as root.

    Args:
        name: The host's name in the inventory.
        path: The deployment's unix socket.
    """

    NAME = "deployment"

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        self.asked: list[Asked] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(path)

    def __repr__(self) -> str:
        return f"deployment://{self.hostname}"

    def run(self, command: str, *args: str, **kwargs: Any) -> base.CommandResult:  # noqa: ARG002
        """Run a command on the host.

        Raises:
            ConnectionLost: The deployment could not run it.
        """
        text = self.get_command(command, *args)
        answer = self._ask(text)
        if "error" in answer:
            raise ConnectionLost(str(answer["error"]))
        rc = int(str(answer["rc"]))
        out, err = (self._receive(int(str(answer[name]))) for name in ("stdout", "stderr"))
        self.asked.append(Asked(text, rc, out[-_KEPT:], err[-_KEPT:]))
        return self.result(rc, text.encode(), out, err)

    def get_sudo_command(self, command: str, sudo_user: str | None) -> str:
        """Become another user. We are root already, so no sudo is needed on the host."""
        if sudo_user is None:
            return f"/bin/sh -c {shlex.quote(command)}"
        return f"runuser -u {shlex.quote(sudo_user)} -- /bin/sh -c {shlex.quote(command)}"

    def get_encoding(self) -> str:
        """Tell the host's encoding, without the base class's search for a Python there."""
        return "utf-8"

    def decode(self, data: bytes) -> str:
        """Decode output; what is not UTF-8 must not end a check."""
        return data.decode(errors="replace")

    def _ask(self, command: str) -> dict[str, object]:
        try:
            self._socket.sendall(wire.pack({"command": command}))
        except OSError as error:
            raise _silent(error) from error
        (length,) = wire.HEADER.unpack(self._receive(wire.HEADER.size))
        return wire.unpack(self._receive(length))

    def _receive(self, length: int) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            try:
                part = self._socket.recv(min(1 << 20, length - len(parts)))
            except OSError as error:
                raise _silent(error) from error
            if not part:
                raise ConnectionLost("the deployment closed the connection")
            parts += part
        return bytes(parts)


def _silent(error: OSError) -> ConnectionLost:
    return ConnectionLost(f"the deployment does not answer: {error}")
