"""What every way to a host offers: run a command there, reach its Nix store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from orchestrator.core.checks import Login
from orchestrator.core.process import CommandResult


class Source(Protocol):
    """The reading end of a stream."""

    async def read(self, n: int) -> bytes:
        """Read up to ``n`` bytes; none at the end."""


class Sink(Protocol):
    """The writing end of a stream."""

    def write(self, data: bytes | memoryview) -> None:
        """Queue bytes; they are copied."""

    async def drain(self) -> None:
        """Wait until the queue has room."""

    def can_write_eof(self) -> bool:
        """Whether the end can be told."""

    def write_eof(self) -> None:
        """Tell the end."""


class Stream(Struct, frozen=True):
    """A running command's ends.

    Attributes:
        wait: Waits for its end and gives the exit code; ``None`` where it is not known.
    """

    stdin: Sink
    stdout: Source
    wait: Callable[[], Awaitable[int | None]]


class Running(Protocol):
    """A command that runs on a host, its streams apart from one another."""

    async def read(self, n: int, *, stderr: bool = False) -> bytes:
        """Read up to ``n`` bytes of a stream; none at its end.

        Raises:
            UnreachableError: The connection was lost.
        """

    async def write(self, data: bytes) -> None:
        """Have it read bytes; a command that has ended reads none, which is no error."""

    def write_eof(self) -> None:
        """Have it see the end of its input."""

    async def wait(self) -> int:
        """Wait for its end, and give its exit code: negative for a signal's number.

        Raises:
            UnreachableError: The connection was lost, and how it ended is not known.
        """

    def resize(self, columns: int, rows: int) -> None:
        """Say that its terminal has another size now."""


class Window(Struct, frozen=True):
    """A terminal to run a command in: what it understands, and its size in characters."""

    kind: str
    columns: int
    rows: int


class Executor(Protocol):
    """An open way to one host; ``ssh/executor.py`` and ``ssh/local.py`` are the two there are."""

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

    def open(self, argv: Sequence[str]) -> AbstractAsyncContextManager[Stream]:
        """Start a command as root whose input and output are streams; it ends with the context.

        Raises:
            StepError: Root is not to be had, or the command could not be started.
        """

    def start(
        self, argv: Sequence[str], *, root: bool = True
    ) -> AbstractAsyncContextManager[Running]:
        """Start a command whose streams are all read as they come.

        With the context ends what this machine has of it; the command itself may go on.

        Args:
            argv: The command and its arguments; quoted here, nowhere else.
            root: Whether it runs as root, through sudo where the login is another user.

        Raises:
            UnreachableError: The connection was lost.
            StepError: Root is not to be had, or the command could not be started.
        """

    def nix_store(self) -> AbstractAsyncContextManager[str]:
        """Reach the host's Nix store.

        Returns:
            A context that gives a store URL for ``nix copy --to`` and ``nix build --store``. It
            writes as a trusted user.
        """

    @property
    def login(self) -> Login:
        """Who its commands come as; whether sudo asks is known once one was run as root."""

    def repeat(self, argv: Sequence[str]) -> str:
        """Give the command that a person types to run ``argv`` there by hand."""
