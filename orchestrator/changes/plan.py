"""What hosts' evaluations read, and whether any of it changed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

from msgspec import Struct

from orchestrator.core.store import Evaluated
from orchestrator.core.units import parse_json

GITLINK = "160000"
"""The mode of a submodule's commit."""

ABSENT = "absent"
"""In a mode's place: git tracks the path, and for Nix there is none."""


class Tree(Struct, frozen=True, dict=True):
    """A repository's tracked files.

    Attributes:
        root: Absolute path of the work tree.
        flake: Where ``flake.nix`` is, relative to ``root``; empty at its top.
        entries: Path, relative to ``root``, to ``MODE ID``: git's mode, and the blob's id or, for
            what differs in the work tree, the id that it would have.
        head: The commit that is checked out; ``None`` before the first.
        dirty: Whether anything tracked differs from that commit. Nix then reads the work tree,
            and tells the flake of no revision.
        indivisible: Why files cannot be looked at one by one here, such as ``export-subst``; only
            the tree as a whole tells then whether anything changed. Empty where they can.
    """

    root: str
    entries: Mapping[str, str]
    head: str | None = None
    dirty: bool = False
    flake: str = ""
    indivisible: str = ""

    def __repr__(self) -> str:
        return f"Tree({self.root!r}, {self.whole!r})"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the files alone, in hexadecimal."""
        listing = "\0".join(f"{value} {path}" for path, value in sorted(self.entries.items()))
        return _sha256(listing)

    @cached_property
    def whole(self) -> str:
        """SHA-256 of all that an evaluation can learn of the tree: files, commit, cleanness."""
        return _sha256(f"{self.digest} {self.head} {self.dirty} {self.flake}")

    @cached_property
    def folders(self) -> Mapping[str, Mapping[str, str]]:
        """Folder to what lies directly in it: name to mode, ``040000`` for a folder."""
        found: dict[str, dict[str, str]] = {"": {}}
        for path, value in self.entries.items():
            if value.startswith(ABSENT):
                continue
            folder, _, name = path.rpartition("/")
            known = folder in found
            found.setdefault(folder, {})[name] = value[:6]
            while not known:
                folder, _, name = folder.rpartition("/")
                known = folder in found
                found.setdefault(folder, {})[name] = "040000"
        return found


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


class Asked(Enum):
    """What an evaluation asked of a path."""

    CONTENT = "content"
    LIST = "list"
    TYPE = "type"


class Read(NamedTuple):
    """One question to the tree: the path is relative to its root, empty for the root itself."""

    asked: Asked
    path: str


Access = tuple[str, str]
"""One system call that a tracer saw: ``open``, ``stat``, ``readlink`` or ``list``, and the path
relative to the tree's root. A path that was looked for in vain counts too."""


class Fingerprint(Struct, frozen=True):
    """What one evaluation depended on, and what came of it.

    Attributes:
        attr: The host's attribute below ``nixosConfigurations``, with the flake's place before it
            where that is another than the fleet's.
        context: Digest of what else counts: Nix, its settings, the flake's reference, overrides.
        tree: The tree that was evaluated.
        reads: What of the tree was read; ``None`` where the tree as a whole counts.
        files: How many files' contents count.
        evaluated: What came of it.
        run: The deployment that evaluated it; ``None`` where ``learn`` did.
        at: When.
        why_whole: Where ``reads`` is ``None``: why, in words.
    """

    attr: str
    context: str
    tree: Tree
    reads: Collection[Read] | None
    files: int
    evaluated: Evaluated
    run: int | None
    at: datetime
    why_whole: str = ""


class Known(Struct, frozen=True):
    """Nothing that a host's evaluation depends on changed: its system is known without one."""

    fingerprint: Fingerprint


class Unknown(Struct, frozen=True):
    """A host has to be evaluated.

    Attributes:
        reason: Why, in words.
        changed: The paths that changed since it was evaluated last, where that is the reason.
        fingerprint: What its last evaluation depended on, where that is known.
    """

    reason: str
    changed: tuple[str, ...] = ()
    fingerprint: Fingerprint | None = None


Knowledge = Known | Unknown


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
        if not _is_named(node) and not _stays(node.get("locked", {}), pinned, watched)
    )


def _nodes(locks: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The inputs, without the flake itself."""
    root = locks.get("root", "root")
    return ((name, node) for name, node in locks["nodes"].items() if name != root)


def _is_named(node: Mapping[str, Any]) -> bool:
    """Whether an input's reference itself names one content for ever, whatever is locked."""
    said, kind = node.get("original", {}), node.get("locked", {}).get("type")
    if said.get("type") != kind:
        return False  # a name of the registry, which may come to mean another
    return (kind in _REVISIONED and "rev" in said) or (kind in _HASHED and "narHash" in said)


def _stays(locked: Mapping[str, Any], pinned: Collection[object], watched: Collection[str]) -> bool:
    kind, path = locked.get("type"), str(locked.get("path", ""))
    if kind == "path":
        inside = bool(path) and not path.startswith("/")
        return inside or path.startswith("/nix/store/") or path in watched
    if locked not in pinned:
        return False  # resolved anew each time
    return (kind in _REVISIONED and "rev" in locked) or (kind in _HASHED and "narHash" in locked)
