"""Fixtures: Nix, expressions about the module system, and the fleet's flake on the stand-in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from nix_bench import Fleet, Modules, example_fleet

from orchestrator.lab import image, seed

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All that is in this folder needs a real Nix."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.nix)


@pytest.fixture(scope="session")
def nix() -> None:
    """Fail, and never skip, where there is no Nix."""
    if not seed.machine_has_nix() or shutil.which("nix-instantiate") is None:
        pytest.fail("no Nix ≥ 2.18 here: scripts/lib/with-nix .venv/bin/pytest tests/nix")


@pytest.fixture(scope="session")
def modules(nix: None) -> Modules:
    """The module system of the stand-in, or of the nixpkgs that NIXPKGS_LIB names."""
    return Modules.chosen()


@pytest.fixture(scope="session")
def nixpkgs(nix: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in as a lab has it: with a busybox to build with."""
    target = tmp_path_factory.mktemp("standin") / "nixpkgs"
    seed.place_nixpkgs(image.ensure(print), target)
    return target


@pytest.fixture
def fleet(nixpkgs: Path, tmp_path: Path) -> Fleet:
    """A copy of the example fleet, to change at will."""
    return example_fleet(tmp_path / "fleet", nixpkgs)
