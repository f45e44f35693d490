"""A copy of a fleet is accepted only where it holds what the fleet was when it was looked at."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from known_fleet import git

from orchestrator.changes import source
from orchestrator.changes.source import Source
from orchestrator.changes.tree import private_copy
from orchestrator.nix.flake import Flake

# What is called while a copy is made, in this order, some of it twice.
STEPS = ("snapshot_of", "stamp", "copy_repository", "snapshot")
MOST = 9


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A fleet of one commit."""
    root = tmp_path / "fleet"
    root.mkdir()
    (root / "content").write_text("before")
    (root / "flake.nix").write_text("{ outputs = _: { }; }\n")
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    who = ("-c", "user.name=fleet", "-c", "user.email=fleet@example.org")
    git(root, *who, "commit", "--quiet", "-m", "first")
    return root


def before_each(patch: pytest.MonkeyPatch, happens: Callable[[int], None]) -> None:
    """Have something happen before each step; it is given the step's number."""
    number = itertools.count()

    def step(real: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*given: Any) -> Any:
            happens(next(number))
            return real(*given)

        return stepped

    for name in STEPS:
        module = private_copy if name == "copy_repository" else source
        patch.setattr(module, name, step(getattr(module, name)))


@pytest.mark.parametrize(("edit", "back"), itertools.combinations(range(MOST), 2))
def test_an_edit_there_and_back_is_not_copied(
    fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: int, back: int
) -> None:
    """Whenever it was made and rolled back: what is accepted is what was looked at."""

    def happens(number: int) -> None:
        if number in (edit, back):
            (fleet / "content").write_text("edited" if number == edit else "before")

    before_each(monkeypatch, happens)
    found = asyncio.run(Source(Flake(".", str(fleet)))._at_rest(tmp_path / "copy"))
    assert found is None or found[0].whole == found[1].whole


def test_a_fleet_at_rest_is_copied(fleet: Path, tmp_path: Path) -> None:
    """Nobody edits: the copy is accepted at once."""
    found = asyncio.run(Source(Flake(".", str(fleet)))._at_rest(tmp_path / "copy"))
    assert found is not None
    assert found[0].whole == found[1].whole
