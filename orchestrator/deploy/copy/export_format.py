"""Split what ``nix-store --export`` writes at the borders of its paths, in bounded memory.

The format (``src/libstore/export-import.cc`` of Nix): for each path the integer 1, its NAR archive,
the integer 0x4558494e, its name, its references, its deriver, and 0; a 0 in place of the first 1 is
the end. Integers are 64 bits, little-endian; a string is its length, its bytes, and zeroes up to a
multiple of 8. NAR: https://nix.dev/manual/nix/latest/protocols/nix-archive
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from orchestrator.core.store import StorePath

Read = Callable[[int], bytes]
"""Reads so many bytes; fewer only at the end."""
Write = Callable[[bytes], object]

END = struct.pack("<Q", 0)
"""What follows the last path."""

_MAGIC = 0x4558494E
_CHUNK = 1 << 18
_WORD = 4096
"""More than any name, link target or store path has; PATH_MAX of Linux."""


class MalformedExportError(Exception):
    """It is not what ``nix-store --export`` writes, or ends too early."""


def _encoded(*words: str) -> bytes:
    whole = b""
    for word in words:
        text = word.encode()
        whole += struct.pack("<Q", len(text)) + text + bytes(-len(text) % 8)
    return whole


_ARCHIVE = _encoded("nix-archive-1")
_NODE = _encoded("(", "type")
_CLOSE = _encoded(")")
_NAME = _encoded("(", "name")
_CHILD = _encoded("node")
_CONTENTS = _encoded("contents")
_TARGET = _encoded("target")
_NOTHING = _encoded("")


def split(read: Read, write: Write) -> Iterator[str]:
    """Hand on every byte of each path, and then give the path's name.

    Args:
        read: Where the export comes from.
        write: Takes the bytes; all those before a name belong to that path, and the end to none.

    Raises:
        MalformedExportError: At the first byte that does not belong there.
    """
    reader = _Reader(read, write)
    while reader.more():
        _archive(reader)
        yield _about(reader)
    if read(1):
        raise MalformedExportError("more follows its end")


class _Reader:
    def __init__(self, read: Read, write: Write) -> None:
        self._read = read
        self._write = write

    def more(self) -> bool:
        """Whether another path begins; the end is not handed on."""
        begin = self._exactly(8)
        if begin == END:
            return False
        if begin != struct.pack("<Q", 1):
            raise MalformedExportError("neither a path nor the end")
        self._write(begin)
        return True

    def take(self, count: int) -> bytes:
        data = self._exactly(count)
        self._write(data)
        return data

    def _exactly(self, count: int) -> bytes:
        data = self._read(count)
        if len(data) != count:
            raise MalformedExportError("it ends in the middle")
        return data

    def number(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def expect(self, encoded: bytes) -> None:
        if (found := self.take(len(encoded))) != encoded:
            raise MalformedExportError(f"{found!r} in place of {encoded!r}")

    def word(self) -> str:
        length = self.number()
        if length > _WORD:
            raise MalformedExportError(f"a word of {length} bytes")
        text = self.take(length)
        self.pad(length)
        return text.decode(errors="surrogateescape")

    def contents(self) -> None:
        length = left = self.number()
        while left:
            left -= len(self.take(min(left, _CHUNK)))
        self.pad(length)

    def pad(self, length: int) -> None:
        count = -length % 8
        if count and self.take(count) != bytes(count):
            raise MalformedExportError("padding that is not zero")


def _archive(reader: _Reader) -> None:
    reader.expect(_ARCHIVE)
    depth = 0
    while True:
        reader.expect(_NODE)
        match reader.word():
            case "directory":
                depth += 1
            case kind:
                _leaf(reader, kind)
                if depth:
                    reader.expect(_CLOSE)
        depth = _to_next_child(reader, depth)
        if not depth:
            return


def _leaf(reader: _Reader, kind: str) -> None:
    match kind:
        case "symlink":
            reader.expect(_TARGET)
            reader.word()
        case "regular":
            _file(reader)
            return
        case _:
            raise MalformedExportError(f"a file of type {kind!r}")
    reader.expect(_CLOSE)


def _file(reader: _Reader) -> None:
    word = reader.word()
    if word == ")":  # an empty file may be written without its contents
        return
    if word == "executable":
        reader.expect(_NOTHING)
        word = reader.word()
        if word == ")":
            return
    if word != "contents":
        raise MalformedExportError(f"{word!r} in a file")
    reader.contents()
    reader.expect(_CLOSE)


def _to_next_child(reader: _Reader, depth: int) -> int:
    """Close folders up to the next one's child; 0 where the archive is at its end."""
    while depth:
        match reader.word():
            case "entry":
                reader.expect(_NAME)
                reader.word()
                reader.expect(_CHILD)
                return depth
            case ")":
                depth -= 1
                if depth:
                    reader.expect(_CLOSE)
            case other:
                raise MalformedExportError(f"{other!r} in a folder")
    return 0


def _about(reader: _Reader) -> str:
    """What follows a path's archive; gives the path."""
    if reader.number() != _MAGIC:
        raise MalformedExportError("no magic number after an archive")
    path = _store_path(reader.word())
    for _ in range(reader.number()):
        _store_path(reader.word())
    if deriver := reader.word():
        _store_path(deriver)
    if reader.number() != 0:
        raise MalformedExportError("a signature, which no Nix since 2.0 writes")
    return path


def _store_path(text: str) -> str:
    try:
        return StorePath(text).path
    except ValueError as error:
        raise MalformedExportError(str(error)) from None
