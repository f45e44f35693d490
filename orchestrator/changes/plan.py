"""Whether a change to the fleet's files can reach a host's evaluation.

An evaluation asks a tree three things: a file's content, a folder's list, a path's type. Where no
answer that it was given differs, Nix, which is deterministic, gives the same derivation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.changes.model import Access, Asked, Fingerprint, Read
from orchestrator.changes.tree.model import Tree


def reads_of(accesses: Iterable[Access], tree: Tree) -> frozenset[Read]:
    """Put what a tracer saw into questions to the tree.

    Opening a folder is asking for its list; opening what is not there is asking for a content
    that is absent. Whatever is asked of a path asks for the types of the folders above it, too: one
    of them may become a symbolic link. The type of the root itself never varies.
    """
    reads = set()
    for call, path in accesses:
        if call != "stat":
            reads.add(Read(Asked.LIST if path in tree.folders else Asked.CONTENT, path))
        while path:
            reads.add(Read(Asked.TYPE, path))
            path = path.rpartition("/")[0]
    return frozenset(reads)


def difference(old: Tree, new: Tree) -> Mapping[Read, str]:
    """The questions that two trees answer differently, each with the path that made it so.

    Only what names a path that is in one of the trees: whatever else is asked is absent in both.
    """
    found: dict[Read, str] = {}
    for path in old.entries.keys() | new.entries.keys():
        before, after = old.entries.get(path), new.entries.get(path)
        if before == after:
            continue
        found[Read(Asked.CONTENT, path)] = path
        if (before or "")[:6] != (after or "")[:6]:
            found[Read(Asked.TYPE, path)] = path
            _climb(path, old, new, found)
    return found


def _climb(path: str, old: Tree, new: Tree, found: dict[Read, str]) -> None:
    """A path came, went or became another kind: its folder's list changed, perhaps the folder."""
    folder = path
    while folder:
        folder = folder.rpartition("/")[0]
        found.setdefault(Read(Asked.LIST, folder), path)
        if (folder in old.folders) == (folder in new.folders):
            return
        found.setdefault(Read(Asked.TYPE, folder), path)
        found.setdefault(Read(Asked.CONTENT, folder), path)


class Comparison:
    """A tree held against those that fingerprints are of; each of them is compared once."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._moved: dict[str, Mapping[Read, str]] = {}

    def changes(self, fingerprint: Fingerprint) -> tuple[str, ...]:
        """The paths that changed and count for a fingerprint; empty where it holds."""
        old, new = fingerprint.tree, self.tree
        if fingerprint.reads is None or new.indivisible:
            return _whole(old, new)
        if old.flake != new.flake:
            return (f"{new.flake}/flake.nix".lstrip("/"),)
        if old.digest == new.digest:
            return ()
        moved, reads = self._since(old), fingerprint.reads
        return tuple(sorted({path for read, path in moved.items() if read in reads or _says(path)}))

    def _since(self, old: Tree) -> Mapping[Read, str]:
        if old.whole not in self._moved:
            self._moved[old.whole] = difference(old, self.tree)
        return self._moved[old.whole]


def changes(fingerprint: Fingerprint, tree: Tree) -> tuple[str, ...]:
    """The paths that changed since a fingerprint and that count for it; empty where it holds.

    Args:
        fingerprint: What an evaluation depended on.
        tree: The tree now.
    """
    return Comparison(tree).changes(fingerprint)


def _says(path: str) -> bool:
    """Whether a file says what others' bytes are: Nix before 2.20 lets git convert them."""
    return path.rpartition("/")[2] == ".gitattributes"


def _whole(old: Tree, new: Tree) -> tuple[str, ...]:
    if old.whole == new.whole:
        return ()
    paths = {read.path for read in difference(old, new) if read.asked is Asked.CONTENT}
    files = tuple(
        sorted(path for path in paths if path not in (old.folders.keys() | new.folders.keys()))
    )
    # The same files at another commit: a flake that asks for its revision notices.
    return files or ("the commit",)


def files_of(reads: Iterable[Read], tree: Tree) -> int:
    """How many of a tree's files were read."""
    return sum(1 for asked, path in reads if asked is Asked.CONTENT and path in tree.entries)
