"""What every way to a host offers: run a command there, reach its Nix store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from orchestrator.core.process import CommandResult


class Source(Protocol):
    """The reading end of a stream."""

    async def read(self, n: int) -> bytes:
        """Read up to ``n`` bytes; none at the end."""


class Sink(Protocol):
    """The writing end of a stream."""

    def write(self, data: bytes) -> None:
        """Queue bytes."""

    async def drain(self) -> None:
        """Wait until the queue has room."""

    def can_write_eof(self) -> bool:
        """Whether the end can be told."""

    def write_eof(self) -> None:
        """Tell the end."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A running command's ends.

    Attributes:
        wait: Waits for its end and gives the exit code; ``None`` where it is not known.
    """

    stdin: Sink
    stdout: Source
    wait: Callable[[], Awaitable[int | None]]


async def pump(source: Source, sink: Sink) -> None:
    """Move bytes until the source ends, waiting whenever the sink is full; then tell the end."""
    while data := await source.read(1 << 18):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()


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

    def nix_store(self) -> AbstractAsyncContextManager[str]:
        """Reach the host's Nix store.

        Returns:
            A context that gives a store URL for ``nix copy --to`` and ``nix build --store``. It
            writes as a trusted user.
        """

    def repeat(self, argv: Sequence[str]) -> str:
        """Give the command that a person types to run ``argv`` there by hand."""
