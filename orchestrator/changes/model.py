"""What a host's evaluation read of the fleet, and what came of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from orchestrator.changes.tree.model import Tree
from orchestrator.core.store import Evaluated


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
