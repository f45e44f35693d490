"""A flake's inputs that lie in its own tree: ``path:./sub``."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.changes.model import Access
from orchestrator.changes.tree.model import Tree
from orchestrator.core.json_text import parse_json


def accesses(metadata: str, tree: Tree) -> frozenset[Access]:
    """All of the folders that are inputs: Nix may copy them before it reads them elsewhere.

    Args:
        metadata: What ``nix flake metadata --json`` says.
        tree: The tree.
    """
    nodes: Mapping[str, Any] = parse_json(metadata)["locks"]["nodes"]
    folders = set(_folders(nodes, tree.flake))
    return frozenset(
        ("open", path)
        for path in (*tree.entries, *tree.folders)
        if any(folder in ("", path) or path.startswith(f"{folder}/") for folder in folders)
    )


def _folders(nodes: Mapping[str, Any], flake: str) -> Iterator[str]:
    """Where they are; what one is relative to varies: each place that it may be is taken."""
    paths = [str(node.get("locked", {}).get("path", "/")) for node in nodes.values()]
    relative = [path for path in paths if not path.startswith("/")]
    bases = ("", flake, *relative, *(posixpath.join(flake, path) for path in relative))
    for base in bases:
        for path in relative:
            folder = posixpath.normpath(posixpath.join(base, path))
            if not folder.startswith(".."):
                yield "" if folder == "." else folder
