"""How much is read of what others send: so many bytes and lines, and not one more.

Whoever sends more is cut off, and is told of by name. Memory holds what was taken and no more, in
however small pieces it came.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

MIB = 1 << 20


class Bound(Struct, frozen=True):
    """The most that is taken of one stream."""

    size: int
    lines: int


ANSWER = Bound(16 * MIB, 200_000)
"""A host's answer to one command: a large system's closure is 2 MiB and 20,000 lines."""

OUTPUT = Bound(256 * MIB, 2_000_000)
"""What a command prints on this machine."""

FILES = Bound(1024 * MIB, 1 << 62)
"""Contents of files, which are not taken for lines."""

BUILD_LOG = Bound(4096 * MIB, 1 << 62)
"""What Nix says of builds. Nobody keeps it whole."""

TAIL = MIB
"""Bytes that are kept of a stream of which only the end is of use: errors come last."""

LINE = MIB
"""Bytes after which a line is handed on in pieces: it may never end."""


class TooMuchError(Exception):
    """A stream went past its bound; the text says past which."""


class Intake:
    """Takes a stream in, piece by piece, up to a bound.

    Args:
        bound: The most that it may be.
        tail: Keep only so many bytes of its end, or a few more.
    """

    def __init__(self, bound: Bound, tail: int | None = None) -> None:
        self._bound = bound
        self._tail = tail
        self._held = bytearray()
        self._size = 0
        self._lines = 0

    def take(self, piece: bytes) -> None:
        """Take the next piece.

        Raises:
            TooMuchError: It is more than the bound.
        """
        self._size += len(piece)
        self._lines += piece.count(b"\n")
        if self._size > self._bound.size:
            raise TooMuchError(f"more than {self._bound.size // MIB} MiB")
        if self._lines > self._bound.lines:
            raise TooMuchError(f"more than {self._bound.lines} lines")
        self._held += piece
        if self._tail is not None and len(self._held) > 2 * self._tail:
            del self._held[: len(self._held) - self._tail]

    @property
    def taken(self) -> bytes:
        """What is held of it."""
        return bytes(self._held)

    def drop(self) -> None:
        """Give the room back: whoever holds this, such as an exception, holds nothing more."""
        self._held = bytearray()


class Liner:
    """Hands a stream on line by line, newlines removed, as it comes.

    Args:
        on_line: Called with each line; with pieces of one that does not end.
    """

    def __init__(self, on_line: Callable[[bytes], None]) -> None:
        self._on_line = on_line
        self._rest = bytearray()

    def take(self, piece: bytes) -> None:
        """Take the next piece."""
        begun, *lines = piece.split(b"\n")
        self._rest += begun
        for line in lines:
            self._hand_on()
            self._rest += line
        if len(self._rest) >= LINE:
            self._hand_on()

    def end(self) -> None:
        """Hand on a last line that has no newline."""
        if self._rest:
            self._hand_on()

    def _hand_on(self) -> None:
        line = bytes(self._rest)
        self._rest.clear()
        self._on_line(line)
