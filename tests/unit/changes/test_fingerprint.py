"""Whether a change reaches an evaluation: held against asking both trees by brute force."""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.changes.plan import (
    ABSENT,
    Access,
    Asked,
    Fingerprint,
    Read,
    Tree,
    changes,
    difference,
    files_of,
    reads_of,
)
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.core.values import replace

FILE, PROGRAM, LINK = "100644", "100755", "120000"

Node = str | dict[str, "Node"]

names = st.sampled_from(["a", "b", "c"])
paths = st.lists(names, max_size=4).map("/".join)
leaves = st.tuples(st.sampled_from([FILE, PROGRAM, LINK]), st.sampled_from("12")).map(" ".join)
nodes: st.SearchStrategy[Node] = st.recursive(
    leaves, lambda inside: st.dictionaries(names, inside, min_size=1, max_size=3), max_leaves=6
)
folders = st.dictionaries(names, nodes, max_size=3)
accesses = st.lists(
    st.tuples(st.sampled_from(["open", "stat", "readlink", "list"]), paths), max_size=4
)
edits = st.lists(st.tuples(paths, st.none() | nodes), max_size=3)


def flat(node: Node, path: str = "") -> dict[str, str]:
    """A nested folder as git keeps it: files only."""
    if isinstance(node, str):
        return {path: node}
    found = {}
    for name, below in node.items():
        found |= flat(below, f"{path}/{name}".lstrip("/"))
    return found


def edited(entries: Mapping[str, str], path: str, node: Node | None) -> dict[str, str]:
    """Put a file or a folder in the place of whatever is at a path, or nothing."""
    if not path:
        return dict(entries)
    above = path.split("/")
    ways = {"/".join(above[:length]) for length in range(1, len(above) + 1)}
    kept = {
        name: value
        for name, value in entries.items()
        if name not in ways and not name.startswith(f"{path}/")
    }
    return kept | ({} if node is None else flat(node, path))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Tree, Tree]:
    """A tree, and what became of it; sometimes one that has nothing to do with it."""
    old = flat(draw(folders))
    new = dict(old)
    if draw(st.booleans()):
        for path, node in draw(edits):
            new = edited(new, path, node)
    else:
        new = flat(draw(folders))
    return tree(new), tree(old)


def tree(entries: Mapping[str, str], **facts: object) -> Tree:
    """A tree of these files."""
    return replace(Tree("/fleet", entries, "c" * 40), **facts)


def slashes(path: str) -> list[int]:
    """Where the names of the folders above a path end."""
    return [end for end, letter in enumerate(path) if letter == "/"]


def answer(asked: Asked, path: str, of: Tree) -> object:
    """What a tree answers: by looking at every file it has, and at nothing the code prepared."""
    value = of.entries.get(path)
    below = [name for name in of.entries if not path or name.startswith(f"{path}/")]
    kind = value[:6] if value else "folder" if below or not path else "absent"
    match asked:
        case Asked.CONTENT:
            return value or kind
        case Asked.TYPE:
            return kind
        case Asked.LIST:
            depth = path.count("/") + 1 if path else 0
            return sorted(
                {
                    (parts[depth], of.entries[name][:6] if len(parts) == depth + 1 else "folder")
                    for name in below
                    for parts in [name.split("/")]
                }
            )


def fingerprint(of: Tree, reads: frozenset[Read] | None) -> Fingerprint:
    """What an evaluation of a tree depended on."""
    out = OutPath(f"/nix/store/{'a' * 32}-nixos-system-p620")
    evaluated = Evaluated(DrvPath(f"{out.path}.drv"), out)
    at = datetime(2025, 1, 1, tzinfo=UTC)
    return Fingerprint("p620", "context", of, reads, 0, evaluated, 1, at)


@given(pairs(), accesses)
@example((tree({"a": f"{LINK} 1"}), tree({"a/b": f"{FILE} 1"})), [("open", "a/b/c")])
@example((tree({}), tree({"a/b/c": f"{FILE} 1"})), [("list", "a")])
def test_no_change_is_reported_only_where_every_answer_is_the_same(
    trees: tuple[Tree, Tree], seen: list[Access]
) -> None:
    """Sound, and as exact: what is asked decides, together with the types of the folders above."""
    new, old = trees
    reads = reads_of(seen, old)
    differ = {read for read in reads if answer(*read, old) != answer(*read, new)}
    found = changes(fingerprint(old, reads), new)
    assert bool(found) == bool(differ)


def hiding(of: Tree, hidden: Set[str]) -> Tree:
    """The same, some of its files tracked and not there for Nix."""
    return tree(
        {
            path: f"{ABSENT} {value}" if path in hidden else value
            for path, value in of.entries.items()
        }
    )


def shown(of: Tree) -> Tree:
    """What Nix sees of it."""
    seen = {path: value for path, value in of.entries.items() if not value.startswith(ABSENT)}
    return tree(seen)


@given(pairs(), accesses, st.frozensets(paths), st.frozensets(paths))
@example((tree({"a/b": f"{FILE} 1"}),) * 2, [("stat", "a")], frozenset({"a/b"}), frozenset())
def test_what_is_tracked_and_not_there_is_not_taken_for_a_file(
    trees: tuple[Tree, Tree], seen: list[Access], hidden_now: Set[str], hidden_then: Set[str]
) -> None:
    """Sound; that such a path came or went may count although Nix sees it neither way."""
    new, old = hiding(trees[0], hidden_now), hiding(trees[1], hidden_then)
    reads = reads_of(seen, old)
    if any(answer(*read, shown(old)) != answer(*read, shown(new)) for read in reads):
        assert changes(fingerprint(old, reads), new)


@given(pairs(), accesses)
def test_what_was_asked_of_a_path_is_what_the_call_can_have_told(
    trees: tuple[Tree, Tree], seen: list[Access]
) -> None:
    """Each call puts its own question, and asks for the type of each part of its way."""
    _, old = trees
    reads = reads_of(seen, old)
    for call, path in seen:
        parts = path.split("/") if path else []
        way = {"/".join(parts[: length + 1]) for length in range(len(parts))}
        assert {Read(Asked.TYPE, part) for part in way} <= reads
        is_folder = not path or any(name.startswith(f"{path}/") for name in old.entries)
        own = Read(Asked.LIST if is_folder else Asked.CONTENT, path)
        if call != "stat":
            assert own in reads
    assert Read(Asked.TYPE, "") not in reads


@given(pairs())
def test_a_difference_names_every_question_that_is_answered_differently(
    trees: tuple[Tree, Tree],
) -> None:
    """Each question about each path that is in one of the trees, and no other."""
    new, old = trees
    known = {*old.entries, *new.entries}
    everywhere = {"", *known, *(path[:end] for path in known for end in slashes(path))}
    expected = {
        Read(asked, path)
        for asked in Asked
        for path in everywhere
        if answer(asked, path, old) != answer(asked, path, new)
    }
    found = difference(old, new)
    assert found.keys() == expected
    assert set(found.values()) <= known


def test_the_bit_to_execute_counts_as_a_type() -> None:
    """Nix's ``readDir`` does not tell of it and a copy does: the one place that is too careful."""
    old, new = tree({"d/a": f"{FILE} 1"}), tree({"d/a": f"{PROGRAM} 1"})
    assert changes(fingerprint(old, reads_of([("list", "d")], old)), new) == ("d/a",)
    assert changes(fingerprint(old, reads_of([("stat", "d")], old)), new) == ()


def test_a_folder_above_that_becomes_a_link_is_a_change() -> None:
    """What is below may be another file, though nothing was asked of the link."""
    old = tree({"d/a": f"{FILE} 1"})
    new = tree({"d": f"{LINK} 1", "e/a": f"{FILE} 1"})
    reads = reads_of([("stat", "d/a")], old)
    assert "d" in changes(fingerprint(old, reads), new)


def test_a_file_that_was_looked_for_in_vain_counts() -> None:
    """When it comes, or a folder on its way does, the evaluation goes another way."""
    old = tree({"a": f"{FILE} 1"})
    held = fingerprint(old, reads_of([("open", "b/c")], old))
    assert changes(held, tree({"a": f"{FILE} 1", "b/c": f"{FILE} 1"})) == ("b/c",)
    assert changes(held, tree({"a": f"{FILE} 1", "b": f"{LINK} 1"})) == ("b",)
    assert changes(held, tree({"a": f"{FILE} 2"})) == ()


def test_a_submodule_counts_by_all_that_is_in_it() -> None:
    """A submodule counts by its commit or by its files: either is another content."""
    old = tree({"m": "160000 1 inside", "a": f"{FILE} 1"})
    held = fingerprint(old, frozenset({Read(Asked.CONTENT, "m")}))
    assert changes(held, tree({"m": "160000 1 other", "a": f"{FILE} 1"})) == ("m",)
    assert changes(held, tree({"m": "160000 1 inside", "a": f"{FILE} 2"})) == ()


facts = st.fixed_dictionaries(
    {
        "head": st.sampled_from([None, "c" * 40, "d" * 40]),
        "dirty": st.booleans(),
        "flake": st.sampled_from(["", "nix"]),
    }
)


@given(pairs(), facts, facts)
def test_a_whole_tree_holds_until_anything_at_all_changes(
    trees: tuple[Tree, Tree], before: dict[str, object], after: dict[str, object]
) -> None:
    """Files, commit, cleanness and the flake's folder; and there is always something to name."""
    new, old = trees
    held = fingerprint(replace(old, **before), None)
    same = (old.entries, before) == (new.entries, after)
    assert (changes(held, replace(new, **after)) == ()) == same


@pytest.mark.parametrize("change", [{"head": None}, {"dirty": True}, {"flake": "nix"}], ids=str)
def test_of_a_whole_tree_each_fact_counts(change: dict[str, object]) -> None:
    """Of a whole tree the commit, its being clean and its flake each count by themselves."""
    old = tree({"a": f"{FILE} 1"})
    assert changes(fingerprint(old, None), replace(old, **change)) == ("the commit",)


@given(pairs(), accesses)
def test_a_tree_that_cannot_be_told_apart_counts_as_a_whole(
    trees: tuple[Tree, Tree], seen: list[Access]
) -> None:
    """Whatever was read: where git converts or hides files, one file's value says nothing."""
    new, old = trees
    held = fingerprint(old, reads_of(seen, old))
    whole = fingerprint(old, None)
    odd = replace(new, indivisible="core.filemode")
    assert changes(held, odd) == changes(whole, odd)


@given(pairs(), accesses, facts, facts)
def test_a_commit_alone_reaches_nobody_who_reads_files_only(
    trees: tuple[Tree, Tree],
    seen: list[Access],
    before: dict[str, object],
    after: dict[str, object],
) -> None:
    """The twin has shown that no revision counts; the flake's folder does."""
    _, old = trees
    held = fingerprint(replace(old, **before), reads_of(seen, old))
    same = before["flake"] == after["flake"]
    assert (changes(held, replace(old, **after)) == ()) == same


def test_what_a_person_is_told_are_files() -> None:
    """Of a whole tree: files, not the folders that went with them; or that it is the commit."""
    old = tree({"d/a": f"{FILE} 1", "b": f"{FILE} 1"})
    held = fingerprint(old, None)
    assert changes(held, tree({"b": f"{FILE} 2"})) == ("b", "d/a")
    assert changes(held, replace(old, head=None)) == ("the commit",)
    moved = fingerprint(old, frozenset())
    assert changes(moved, replace(old, flake="nix")) == ("nix/flake.nix",)


def test_files_are_counted_once_and_folders_not() -> None:
    """What is said to be read: contents of files that are there."""
    old = tree({"d/a": f"{FILE} 1", "b": f"{FILE} 1", "c": f"{FILE} 1"})
    seen = [("open", "d"), ("open", "d/a"), ("stat", "d/a"), ("open", "e"), ("stat", "c")]
    assert files_of(reads_of(seen, old), old) == 1


def test_what_says_how_bytes_are_converted_counts_for_everybody() -> None:
    """Nix 2.18 takes a clean tree's files from `git archive`, which applies attributes."""
    old = tree({"a": f"{FILE} 1", "d/.gitattributes": f"{FILE} 1"})
    held = fingerprint(old, reads_of([("open", "a")], old))
    assert changes(held, tree({"a": f"{FILE} 1"})) == ("d/.gitattributes",)
