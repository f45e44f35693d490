"""A tree of files at one moment; a fingerprint: what an evaluation read of it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import cached_property
from typing import NamedTuple

from orchestrator.core.store import Evaluated

GITLINK = "160000"
"""The mode of a submodule's commit."""

ABSENT = "absent"
"""In a mode's place: git tracks the path, and for Nix there is none."""


@dataclass(frozen=True)
class Tree:
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
    entries: Mapping[str, str] = field(repr=False)
    head: str | None = None
    dirty: bool = False
    flake: str = ""
    indivisible: str = ""

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


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What one evaluation depended on, and what came of it.

    Attributes:
        attr: The host's attribute below ``nixosConfigurations``.
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


@dataclass(frozen=True, slots=True)
class Known:
    """Nothing that a host's evaluation depends on changed: its system is known without one."""

    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Unknown:
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
