"""Inputs that lie in the flake's own tree."""

from __future__ import annotations

import json

from orchestrator.changes.plan import Tree
from orchestrator.changes.tracing.evaluation import input_accesses

TREE = Tree(
    "/fleet", dict.fromkeys(("flake.nix", "sub/a", "sub/deep/b", "subother", "nix/lib/c"), "")
)


def metadata(*paths: str) -> str:
    """What Nix says of a flake with inputs at these paths."""
    nodes = {path: {"locked": {"type": "path", "path": path}} for path in paths}
    return json.dumps({"locks": {"nodes": {"root": {"inputs": {}}, **nodes}}})


def test_all_of_such_an_input_counts() -> None:
    """All files of an input by path count, none of its neighbours', and none from elsewhere."""
    found = input_accesses(metadata("./sub", "/nix/store/abc-source"), TREE)
    assert {path for _, path in found} == {"sub", "sub/a", "sub/deep", "sub/deep/b"}
    assert input_accesses(metadata("/nix/store/abc-source"), TREE) == set()


def test_a_path_counts_from_the_flakes_folder_too() -> None:
    """Versions of Nix differ in what it is relative to."""
    tree = Tree("/fleet", TREE.entries, flake="nix")
    assert ("open", "nix/lib/c") in input_accesses(metadata("./lib"), tree)
    assert ("open", "sub/a") in input_accesses(metadata("../sub"), tree)


def test_an_input_of_an_input_is_found() -> None:
    """Relative to the input that names it."""
    assert ("open", "sub/deep/b") in input_accesses(metadata("./sub", "./deep"), TREE)
