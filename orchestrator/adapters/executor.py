"""What every way to a host offers: run a command there, reach its Nix store."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from orchestrator.adapters.process import CommandResult


@dataclass(frozen=True, slots=True)
class SudoPassword:
    """A password for sudo: it travels on standard input only and never shows in a log."""

    secret: str

    def __repr__(self) -> str:
        return "SudoPassword(…)"


class Executor(Protocol):
    """An open way to one host; ``adapters/ssh`` and ``adapters/local`` are the two there are."""

    async def run(
        self, argv: Sequence[str], *, deadline: float, root: bool = True, stdin: bytes = b""
    ) -> CommandResult:
        """Run a command on the host.

        Args:
            argv: The command and its arguments; quoted here, nowhere else.
            deadline: Seconds after which it is given up. What it started on the host may go on.
            root: Whether it runs as root, through sudo where the login is another user.
            stdin: What it reads.

        Raises:
            UnreachableError: The connection was lost.
            StepError: The deadline passed, or root is not to be had.
        """

    def nix_store(self) -> AbstractAsyncContextManager[str]:
        """Reach the host's Nix store.

        Returns:
            A context that gives a store URL for ``nix copy --to`` and ``nix build --store``. It
            writes as a trusted user.
        """

    def repeat(self, argv: Sequence[str]) -> str:
        """Give the command that a person types to run ``argv`` there by hand."""


NO_SUDO = "root is needed there and sudo asks for a password"
NO_SUDO_HINT = (
    "give it with --ask-sudo-password, or set security.sudo.wheelNeedsPassword = false "
    "for the deploy user's group"
)


def sudo_argv(argv: Sequence[str], password: SudoPassword | None) -> tuple[str, ...]:
    """Prefix a command with sudo; it never waits for a terminal.

    With a password it reads one line of standard input. ``-k`` keeps it from skipping that line
    where a ticket is cached: the command would read the password instead.
    """
    if password is None:
        return ("sudo", "-n", "--", *argv)
    return ("sudo", "-k", "-S", "-p", "", "--", *argv)
