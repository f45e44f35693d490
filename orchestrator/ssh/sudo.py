"""Root on a machine: with a password or without, and never waiting for a terminal."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from orchestrator.core.checks import Check, Login
from orchestrator.core.errors import RefusedError
from orchestrator.core.host import Connect, Host
from orchestrator.core.process import CommandResult
from orchestrator.ssh.become import Become, become_by, why_not

_HINT = (
    "no password was given for this host: --ask-sudo-password gives one to the selected hosts that "
    "want it, --sudo-password-for HOST to this one; or have it ask for none: "
)

SUDO = become_by("sudo")

_ANYTHING = ("/bin/sh", "-c", "true")
"""What is needed of sudo: a shell, which whatever is done there runs in."""

_PAST_MARK = 'while IFS= read -r line; do [ "x$line" = "x$1" ] && break; done; shift; exec "$@"'
"""Reads up to a marker, byte by byte as a shell must from a pipe, and becomes the command."""

RunPlain = Callable[[Sequence[str], bytes], Awaitable[CommandResult]]
"""Runs a command as the login user: its argv and what it reads."""


class SudoPassword(Struct, eq=False):
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


def sudo_argv(
    argv: Sequence[str], password: SudoPassword | None, by: Become = SUDO
) -> tuple[str, ...]:
    """Prefix a command with sudo; it never waits for a terminal.

    With a password it may read one line of standard input; ``-k`` has it do so also where a ticket
    is cached. Where its rules ask for none, the line is left to the command: see :func:`_asked`.
    """
    return (*(by.free if password is None or by.asking is None else by.asking), *argv)


def _asked(
    argv: Sequence[str], password: SudoPassword, by: Become
) -> tuple[tuple[str, ...], bytes]:
    """Give a command with the password, and what its standard input begins with.

    sudo's rules may ask for none by now: what it left unread is taken away up to a marker, which is
    a new one each time, before the command begins.
    """
    mark = secrets.token_hex(16)
    past = ("/bin/sh", "-c", _PAST_MARK, "sh", mark)
    return sudo_argv((*past, *argv), password, by), password.line + mark.encode() + b"\n"


class Sudo:
    """Makes commands run as root.

    What sudo asks for may change while a connection is open: a deployment changes its rules.

    Args:
        run: Runs a command as the login user.
        password: What sudo may want.
        needed: Whether the login user is not root already.
        allowed: Whether the inventory allows sudo.
        by: What makes the login root.
        user: Who logged in.
    """

    def __init__(
        self,
        run: RunPlain,
        password: SudoPassword | None,
        *,
        needed: bool,
        allowed: bool = True,
        by: Become = SUDO,
        user: str = "the user",
    ) -> None:
        self._run = run
        self._password = password
        self._needed = needed
        self._allowed = allowed
        self._by = by
        self._user = user
        self._checking = asyncio.Lock()
        self._asks: bool | None = None

    async def run(self, argv: Sequence[str], stdin: bytes, run: RunPlain) -> CommandResult:
        """Run a command as root; once more with the password if sudo wants one since it was asked.

        Raises:
            RefusedError: Root is not to be had.
        """
        await self._ask()
        wrapped, prefix = self._wrapped(argv)
        done = await run(wrapped, prefix + stdin)
        if prefix or not self._may_change or not _refused_by(self._by, done):
            return done
        try:
            wrapped, prefix = await self.wrap(argv)
        except RefusedError:
            return done
        return await run(wrapped, prefix + stdin) if prefix else done

    def by_hand(self, argv: Sequence[str]) -> Sequence[str]:
        """Give the command that a person would type, with the password after it."""
        if not self._needed:
            return argv
        return sudo_argv(argv, self._password if self._asks else None, self._by)

    async def wrap(self, argv: Sequence[str]) -> tuple[Sequence[str], bytes]:
        """Give the command that runs as root, and what its standard input must begin with.

        Raises:
            RefusedError: Root is not to be had.
        """
        await self._ask(anew=self._may_change)
        return self._wrapped(argv)

    async def in_terminal(
        self, argv: Sequence[str], prompt: str
    ) -> tuple[Sequence[str], SudoPassword | None]:
        """Give the command that runs as root in a terminal, where sudo asks whoever sits there.

        Args:
            argv: The command; none: a login shell.
            prompt: What sudo asks with.

        Returns:
            The command, and the password that sudo is to be answered with; ``None``: it is given
            none, or asks for none.

        Raises:
            RefusedError: sudo must not be used, or refused the password that was given.
        """
        if not self._needed:
            return argv, None
        by = self._by
        if self._allowed and (self._password is None or by.asking is None):
            return by.in_terminal(argv, prompt), None
        await self._ask()
        if not self._asks:
            return (by.name, "-n", *by.what(argv)), None
        return (by.name, "-k", *by.prompt(prompt), *by.what(argv)), self._password

    def login(self, user: str, kind: str = "", key: str = "") -> Login:
        """Say who becomes root, and how, as far as it was found out."""
        return Login(
            user, kind, key, sudo=self._needed, password=bool(self._asks), by=self._by.name
        )

    @property
    def _may_change(self) -> bool:
        """Whether sudo wanted no password, and there is one should it want it."""
        return self._needed and self._asks is False and self._password is not None

    def _wrapped(self, argv: Sequence[str]) -> tuple[Sequence[str], bytes]:
        if not self._needed:
            return argv, b""
        if self._asks and self._password is not None:
            return _asked(argv, self._password, self._by)
        return sudo_argv(argv, None, self._by), b""

    async def _ask(self, *, anew: bool = False) -> None:
        """Find out whether sudo wants a password, and whether this is it."""
        async with self._checking:
            if self._needed and (self._asks is None or anew):
                self._asks = await self._check()

    async def _check(self) -> bool:
        if not self._allowed:
            raise _refused("root is needed there, and the inventory says `sudo: false`")
        by = self._by
        free = await self._run((*by.check, *_ANYTHING), b"")
        if free.rc == 0:
            return False
        if fault := why_not(free, by, self._user):
            raise _refused(fault[0], hint=fault[1], stderr=free.err or free.out)
        if by.asking is None:
            raise _refused(
                f"root is needed there, {by.name} asks for a password, and takes none but at a "
                "terminal",
                hint=f"have it ask for none: {by.never}",
                stderr=free.err,
            )
        if self._password is None:
            raise _refused(
                f"root is needed there and {by.name} asks for a password",
                hint=f"{_HINT}{by.never}",
                stderr=free.err,
            )
        if self._password.refused:
            raise _refused(f"{by.name} refused the password once; it is not sent again")
        asked = await self._run(sudo_argv(_ANYTHING, self._password, by), self._password.line)
        if asked.rc != 0:
            self._password.refused = True
            raise _refused(f"{by.name} refused the password that was given", stderr=asked.err)
        return True


def _refused_by(by: Become, done: CommandResult) -> bool:
    """Whether it looks as if sudo itself ended so, before the command began."""
    last = done.err.rpartition("\n")[2]
    return done.rc == 1 and not done.stdout and last.startswith(f"{by.name}:")


def _refused(message: str, *, hint: str | None = None, stderr: str = "") -> RefusedError:
    return RefusedError(message, hint=hint, stderr=stderr, checks=(Check.SUDO.value,))
