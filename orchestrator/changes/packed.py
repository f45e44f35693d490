"""Trees and sets of reads as compressed bytes, for the database."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterator
from functools import cached_property

from orchestrator.changes.model import Asked, Read
from orchestrator.changes.tree.model import Tree


def pack_tree(tree: Tree) -> bytes:
    """Make bytes of a tree: its digest on a line, what is not its files, its files."""
    facts = [tree.root, tree.head, tree.dirty, tree.flake, tree.indivisible]
    lines = (tree.digest, json.dumps(facts), json.dumps(dict(tree.entries)))
    return zlib.compress("\n".join(lines).encode(), level=1)


def unpack_tree(packed: bytes, now: Tree) -> Tree:
    """Make a tree of bytes.

    Args:
        packed: What :func:`pack_tree` made.
        now: Where its files are these, they are taken from here.

    Raises:
        ValueError: The bytes are damaged.
        zlib.error: Likewise.
    """
    digest, facts, files = zlib.decompress(packed).decode().split("\n")
    root, head, dirty, flake, indivisible = json.loads(facts)
    entries = now.entries if digest == now.digest else json.loads(files)
    return Tree(root, entries, head, dirty, flake, indivisible)


def pack_reads(reads: Collection[Read]) -> bytes:
    """Make bytes of a set of reads; equal sets give equal bytes."""
    lines = sorted(map(_line, reads))
    return zlib.compress(json.dumps(lines).encode(), level=1)


class LazyReads(Collection[Read]):
    """A set of reads that is unpacked when it is looked into; mostly it is not."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed

    @cached_property
    def _lines(self) -> frozenset[str]:
        return frozenset(json.loads(zlib.decompress(self._packed)))

    def __contains__(self, read: object) -> bool:
        return isinstance(read, Read) and _line(read) in self._lines

    def __iter__(self) -> Iterator[Read]:
        pairs = (line.split(" ", 1) for line in self._lines)
        return (Read(Asked(asked), path) for asked, path in pairs)

    def __len__(self) -> int:
        return len(self._lines)


def _line(read: Read) -> str:
    return f"{read.asked.value} {read.path}"
