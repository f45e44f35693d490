"""The fleet's files as Nix sees them: what git tracks, at one moment."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

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
