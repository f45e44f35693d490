"""Whether a change reaches an evaluation; whether inputs may change unseen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from orchestrator.changes.model import Access, Asked, Fingerprint, Read, Tree
from orchestrator.core.foreign import parse_json


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


# Types whose `rev` names a content for ever: nix3-flake(1) "Types".
_REVISIONED = ("github", "gitlab", "sourcehut", "git", "hg")
_HASHED = ("tarball", "file", *_REVISIONED)


def floating(metadata: str, lock: str, overrides: Collection[tuple[str, str]]) -> tuple[str, ...]:
    """Name the inputs whose content may change although no file of the flake does.

    Args:
        metadata: What ``nix flake metadata --json`` says with the overrides in place.
        lock: The text of ``flake.lock``; empty where there is none.
        overrides: Pairs of an input's name and the URL that is used in its place. What is behind
            those is somebody else's to watch.

    Raises:
        ValueError: The texts are not of that form.
    """
    pinned = [node.get("locked") for _, node in _nodes(parse_json(lock))] if lock else []
    watched = {url.removeprefix("path:") for _, url in overrides}
    return tuple(
        name
        for name, node in _nodes(parse_json(metadata)["locks"])
        if not _stays(node.get("locked", {}), pinned, watched)
    )


def _nodes(locks: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The inputs, without the flake itself."""
    root = locks.get("root", "root")
    return ((name, node) for name, node in locks["nodes"].items() if name != root)


def _stays(locked: Mapping[str, Any], pinned: Collection[object], watched: Collection[str]) -> bool:
    kind, path = locked.get("type"), str(locked.get("path", ""))
    if kind == "path":
        inside = bool(path) and not path.startswith("/")
        return inside or path.startswith("/nix/store/") or path in watched
    if locked not in pinned:
        return False  # resolved anew each time
    return (kind in _REVISIONED and "rev" in locked) or (kind in _HASHED and "narHash" in locked)
