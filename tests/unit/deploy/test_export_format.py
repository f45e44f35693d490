"""Splitting an export: by an encoder of our own, and against every kind of damage."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.deploy.copy.export_format import END, MalformedExportError, split

Tree = bytes | str | Mapping[str, "Tree"] | tuple[bytes]
"""A file, a link's target, a folder; in a tuple, an executable file."""

HASH = "0123456789abcdfghijklmnpqrsvwxyz"
PATHS = [f"/nix/store/{HASH}-{name}" for name in ("a", "b-1.0", "c")]


def word(text: bytes | str) -> bytes:
    """A string as NAR has it."""
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data + bytes(-len(data) % 8)


def node(tree: Tree) -> bytes:
    """A file, link or folder as NAR has it."""
    match tree:
        case bytes():
            inner = word("regular") + word("contents") + word(tree)
        case (bytes() as data,):
            inner = word("regular") + word("executable") + word("") + word("contents") + word(data)
        case str():
            inner = word("symlink") + word("target") + word(tree)
        case _:
            inner = word("directory") + b"".join(
                word("entry") + word("(") + word("name") + word(name)
                + word("node") + node(child) + word(")")
                for name, child in sorted(tree.items())
            )  # fmt: skip
    return word("(") + word("type") + inner + word(")")


def exported(path: str, tree: Tree, references: tuple[str, ...] = (), deriver: str = "") -> bytes:
    """A path as an export has it."""
    about = struct.pack("<Q", 0x4558494E) + word(path) + struct.pack("<Q", len(references))
    about += b"".join(word(one) for one in references) + word(deriver) + struct.pack("<Q", 0)
    return struct.pack("<Q", 1) + word("nix-archive-1") + node(tree) + about


def pieces(export: bytes) -> list[tuple[str, bytes]]:
    """Each path with its bytes."""
    found, collected = [], bytearray()
    for path in split(io.BytesIO(export).read, collected.extend):
        found.append((path, bytes(collected)))
        collected.clear()
    assert not collected
    return found


TREES = st.recursive(
    st.binary(max_size=40)
    | st.text("ab/. )", min_size=1, max_size=9)
    | st.tuples(st.binary(max_size=9)),
    lambda inner: st.dictionaries(st.text("ab()", min_size=1, max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(TREES, max_size=3))
def test_each_path_is_given_its_own_bytes(trees: list[Tree]) -> None:
    """Whatever the trees, the pieces are the paths as they were written, in their order."""
    parts = [
        (path, exported(path, tree, tuple(PATHS[:number]), f"{path}.drv"))
        for number, (path, tree) in enumerate(zip(PATHS, trees, strict=False))
    ]
    assert pieces(b"".join(part for _, part in parts) + END) == parts


@given(TREES, st.data())
def test_what_ends_early_is_an_error(tree: Tree, data: st.DataObject) -> None:
    """However much is cut off, it is never taken for a whole export."""
    export = exported(PATHS[0], tree) + END
    cut = data.draw(st.integers(0, len(export) - 1))
    with pytest.raises(MalformedExportError):
        pieces(export[:cut])


WHOLE = exported(PATHS[0], {"file": b"x", "link": "file", "run": (b"y",)}) + END


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (word("nix-archive-1"), word("nix-archive-2")),
        (word("regular"), word("fifo")),
        (word("entry"), word("ENTRY")),
        (word("contents"), word("CONTENTS")),
        (word("executable") + word(""), word("executable") + word("1")),
        (word("x"), struct.pack("<Q", 1) + b"x" + b"\1" * 7),
        (word("link"), struct.pack("<Q", 1 << 40) + b"link"),
        (struct.pack("<Q", 0x4558494E), struct.pack("<Q", 0x4558494F)),
        (PATHS[0].encode(), PATHS[0].replace("store", "STORE").encode()),
        (END, END + b"\0"),
    ],
)
def test_what_does_not_belong_there_is_an_error(before: bytes, after: bytes) -> None:
    """A wrong word, a wrong length, bytes in the padding, more after the end."""
    place = WHOLE.rindex(before) if before == END else WHOLE.index(before)
    damaged = WHOLE[:place] + after + WHOLE[place + len(before) :]
    with pytest.raises(MalformedExportError):
        pieces(damaged)


def test_an_empty_file_may_be_written_without_contents() -> None:
    """Old Nix wrote that; it is whole."""
    plain = exported(PATHS[0], b"")
    short = plain.replace(word("contents") + word(""), b"")
    assert short != plain
    assert pieces(short + END) == [(PATHS[0], short)]


def test_a_large_file_passes_in_small_pieces() -> None:
    """Memory does not grow with what is copied."""
    largest = 0

    def write(data: bytes) -> None:
        nonlocal largest
        largest = max(largest, len(data))

    export = exported(PATHS[0], bytes(5_000_000)) + END
    assert list(split(io.BytesIO(export).read, write)) == [PATHS[0]]
    assert largest <= 1 << 18
