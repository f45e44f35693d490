"""Trees and sets of reads as bytes."""

from __future__ import annotations

import zlib

import pytest
from fingerprint_examples import READS, tree
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.changes.fingerprints import LazyReads, pack_reads, pack_tree, unpack_tree
from orchestrator.changes.plan import Asked, Read, Tree

# Names as os.fsdecode gives them: bytes that are no UTF-8 are lone surrogates.
names = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
        st.integers(0xDC80, 0xDCFF).map(chr),
    ),
    max_size=6,
)
trees = st.builds(
    Tree,
    root=names,
    entries=st.dictionaries(names, st.sampled_from(["100644 1", "120000 2", "160000 1 2"])),
    head=st.none() | st.just("c" * 40),
    dirty=st.booleans(),
    flake=names,
    indivisible=names,
)
reads = st.frozensets(st.builds(Read, st.sampled_from(Asked), names))


@given(trees, trees)
def test_a_tree_comes_back_whatever_the_tree_is_now(then: Tree, now: Tree) -> None:
    """All its facts and all its files."""
    for of_now in (now, then):
        back = unpack_tree(pack_tree(then), of_now)
        assert back == then
        assert back.whole == then.whole


def test_files_that_are_those_of_now_are_not_read_again() -> None:
    """A thousand hosts of one tree cost one."""
    now = tree()
    assert unpack_tree(pack_tree(tree()), now).entries is now.entries


@given(reads)
def test_a_set_of_reads_comes_back(some: frozenset[Read]) -> None:
    """A packed set of reads comes back as a collection, and as what is in it."""
    lazy = LazyReads(pack_reads(some))
    assert set(lazy) == some
    assert len(lazy) == len(some)
    assert all(read in lazy for read in some)
    other = Read(Asked.LIST, "\x01")
    assert (other in lazy) == (other in some)


@given(reads)
def test_equal_sets_are_equal_bytes(some: frozenset[Read]) -> None:
    """Whatever the order: they are kept once, by their digest."""
    one_way = list(some)
    assert pack_reads(one_way) == pack_reads(one_way[::-1])


def test_a_set_is_unpacked_when_it_is_looked_into() -> None:
    """The set of reads is unpacked when it is looked into, and not when it is made."""
    lazy = LazyReads(b"damaged")
    with pytest.raises(zlib.error):
        assert next(iter(READS)) in lazy
