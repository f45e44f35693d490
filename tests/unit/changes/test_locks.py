"""Which inputs may change although no file of the flake does: shapes that Nix really prints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.changes.plan import floating

HASH = "sha256-0123456789abcdefghijklmnopqrstuvwxyzABCDEFG="
GITHUB = {
    "type": "github",
    "owner": "NixOS",
    "repo": "nixpkgs",
    "rev": "c" * 40,
    "narHash": HASH,
    "lastModified": 1,
}
GIT = {"type": "git", "url": "https://example.org/a.git", "rev": "c" * 40, "revCount": 1}
TARBALL = {"type": "tarball", "url": "https://example.org/a.tar.gz", "narHash": HASH}
FILE = {"type": "file", "url": "https://example.org/a.json", "narHash": HASH}
MERCURIAL = {"type": "hg", "url": "https://example.org/a", "rev": "c" * 40, "narHash": HASH}
INSIDE = {"type": "path", "path": "./sub", "lastModified": 1}
STORE = {"type": "path", "path": f"/nix/store/{'a' * 32}-source", "narHash": HASH}
OUTSIDE = {"type": "path", "path": "/home/someone/dotfiles", "narHash": HASH, "lastModified": 1}


def locks(**inputs: dict[str, Any]) -> dict[str, Any]:
    """A lock file with these inputs, each with what it is locked to."""
    nodes: dict[str, Any] = {name: {"locked": locked} for name, locked in inputs.items()}
    root = {"inputs": {name: name for name in inputs}}
    return {"nodes": {**nodes, "root": root}, "root": "root", "version": 7}


def ask(
    resolved: dict[str, Any],
    pinned: dict[str, Any] | None = None,
    overrides: tuple[tuple[str, str], ...] = (),
) -> tuple[str, ...]:
    """Ask for an input ``a``; without ``pinned`` there is no flake.lock."""
    metadata = json.dumps({"locked": {}, "locks": locks(a=resolved)})
    return floating(metadata, json.dumps(locks(a=pinned)) if pinned else "", overrides)


@pytest.mark.parametrize(
    "locked", [GITHUB, GIT, TARBALL, FILE, MERCURIAL], ids=lambda one: one["type"]
)
def test_what_the_lock_file_pins_stays(locked: dict[str, Any]) -> None:
    """A revision or a hash, in a file that is part of the fleet."""
    assert ask(locked, locked) == ()


@pytest.mark.parametrize("locked", [GITHUB, GIT, TARBALL, FILE], ids=lambda one: one["type"])
def test_what_no_lock_file_pins_floats(locked: dict[str, Any]) -> None:
    """Nix resolved it just now; the next time it may be something else."""
    assert ask(locked) == ("a",)
    assert ask(locked, locked | {"rev": "d" * 40, "narHash": "sha256-other"}) == ("a",)


@pytest.mark.parametrize(
    "locked",
    [
        {"type": "git", "url": "file:///home/someone/dotfiles", "lastModified": 1},
        {"type": "tarball", "url": "https://example.org/a.tar.gz"},
        {"type": "indirect", "id": "nixpkgs"},
        {},
    ],
    ids=["a dirty git tree", "a tarball without a hash", "a registry's name", "nothing"],
)
def test_what_is_locked_to_no_content_floats(locked: dict[str, Any]) -> None:
    """Being in the lock file is not enough."""
    assert ask(locked, locked) == ("a",)


def test_a_path_within_the_tree_is_the_tree() -> None:
    """An input by a path within the tree is watched with the tree, lock file or not."""
    assert ask(INSIDE) == ask(INSIDE, INSIDE) == ()


def test_a_path_in_the_store_stays() -> None:
    """What is in the store cannot change."""
    assert ask(STORE) == ask(STORE, STORE) == ()


def test_a_path_elsewhere_floats_unless_it_is_watched() -> None:
    """What is written of it in the lock file pins nothing; only an override is looked at."""
    assert ask(OUTSIDE, OUTSIDE) == ("a",)
    watched = (("a", "path:/home/someone/dotfiles"),)
    assert ask(OUTSIDE, GITHUB, watched) == ()
    assert ask(OUTSIDE, GITHUB, (("a", "path:/home/someone/else"),)) == ("a",)


def test_the_flake_itself_is_no_input_whatever_it_is_called() -> None:
    """The root node has nothing that it is locked to; it may be called otherwise than ``root``."""
    nodes = {"root": {"locked": GITHUB}, "top": {"inputs": {"root": "root"}}}
    lock = {"nodes": nodes, "root": "top", "version": 7}
    assert floating(json.dumps({"locks": lock}), json.dumps(lock), ()) == ()


def test_an_inputs_own_inputs_count() -> None:
    """Each by its own name; only those that float are named."""
    resolved = locks(a=GITHUB, b=GIT | {"rev": "e" * 40}, c=OUTSIDE)
    found = floating(json.dumps({"locks": resolved}), json.dumps(locks(a=GITHUB, b=GIT)), ())
    assert found == ("b", "c")


def test_a_flake_without_inputs_has_none_that_float() -> None:
    """A flake without inputs has none that floats, and needs no lock file."""
    assert floating(json.dumps({"locks": locks()}), "", ()) == ()


def test_what_is_no_lock_file_is_an_error() -> None:
    """What is no lock file is an error, not one that pins nothing or all."""
    with pytest.raises(ValueError, match="Expecting"):
        floating(json.dumps({"locks": locks()}), "<<<<<<< conflict", ())
    with pytest.raises(ValueError, match="Expecting"):
        floating("", "", ())
