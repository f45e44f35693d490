"""Root on a machine through sudo: with a password or without, and never waiting for a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from orchestrator.adapters.process import CommandResult
from orchestrator.errors import RefusedError
from orchestrator.model.check import Check
from orchestrator.model.host import Connect, Host

_HINT = (
    "no password was given for this host: --ask-sudo-password gives one to the selected hosts that "
    "want it, --sudo-password-for HOST to this one; or set security.sudo.wheelNeedsPassword = "
    "false for the deploy user's group"
)

_ANYTHING = ("/bin/sh", "-c", "true")
"""What is needed of sudo: a shell, which whatever is done there runs in."""

RunPlain = Callable[[Sequence[str], bytes], Awaitable[CommandResult]]
"""Runs a command as the login user: its argv and what it reads."""


@dataclass(slots=True, eq=False)
class SudoPassword:
    """A password for sudo on one host: it travels on standard input and never shows in a log.

    Attributes:
        refused: Whether that host's sudo refused it. It is not sent there again.
    """

    secret: str
    refused: bool = False

    def __repr__(self) -> str:
        return "SudoPassword(…)"

    @property
    def line(self) -> bytes:
        """What sudo reads."""
        return self.secret.encode() + b"\n"


class Passwords:
    """Which hosts are given a password, each its own; all others get none."""

    def __init__(self) -> None:
        self._given: dict[str, tuple[Connect, SudoPassword]] = {}

    def give(self, host: Host, secret: str) -> None:
        """Have a host given a password, as it is reached now."""
        self._given[host.name] = (host.connect, SudoPassword(secret))

    def of(self, host: Host) -> SudoPassword | None:
        """What a host is given: nothing where it is another than was named, by the same name."""
        connect, password = self._given.get(host.name, (None, None))
        return password if connect == host.connect else None


def sudo_argv(argv: Sequence[str], password: SudoPassword | None) -> tuple[str, ...]:
    """Prefix a command with sudo; it never waits for a terminal.

    With a password it reads one line of standard input. ``-k`` keeps it from skipping that line
    where a ticket is cached: the command would read the password instead.
    """
    if password is None:
        return ("sudo", "-n", "--", *argv)
    return ("sudo", "-k", "-S", "-p", "", "--", *argv)


class Sudo:
    """Makes commands run as root.

    Args:
        run: Runs a command as the login user.
        password: What sudo may want.
        needed: Whether the login user is not root already.
        allowed: Whether the inventory allows sudo.
    """

    def __init__(
        self,
        run: RunPlain,
        password: SudoPassword | None,
        *,
        needed: bool,
        allowed: bool = True,
    ) -> None:
        self._run = run
        self._password = password
        self._needed = needed
        self._allowed = allowed
        self._checking = asyncio.Lock()
        self._works = False

    async def wrap(self, argv: Sequence[str]) -> tuple[Sequence[str], bytes]:
        """Give the command that runs as root, and what its standard input must begin with.

        Raises:
            RefusedError: Root is not to be had.
        """
        if not self._needed:
            return argv, b""
        async with self._checking:
            if not self._works:
                await self._check()
                self._works = True
        line = b"" if self._password is None else self._password.line
        return sudo_argv(argv, self._password), line

    async def _check(self) -> None:
        """Find out once whether sudo wants a password, so that no command ever reads one."""
        if not self._allowed:
            raise _refused("root is needed there, and the inventory says `sudo: false`")
        free = await self._run(("sudo", "-n", "-k", *_ANYTHING), b"")
        if free.rc == 0:
            self._password = None
            return
        if self._password is None:
            raise _refused(
                "root is needed there and sudo asks for a password", hint=_HINT, stderr=free.err
            )
        if self._password.refused:
            raise _refused("sudo refused the password once; it is not sent again")
        asked = await self._run(sudo_argv(_ANYTHING, self._password), self._password.line)
        if asked.rc != 0:
            self._password.refused = True
            raise _refused("sudo refused the password that was given", stderr=asked.err)


def _refused(message: str, *, hint: str | None = None, stderr: str = "") -> RefusedError:
    return RefusedError(message, hint=hint, stderr=stderr, checks=(Check.SUDO.value,))
