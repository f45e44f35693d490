"""Each module of the example fleet by itself and in its smallest host, on the stand-in."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from nix_bench import Fleet

from orchestrator.core.errors import UsageError
from orchestrator.fleet.modules import check_modules
from orchestrator.host.setup import Setup
from orchestrator.inventory.load import load
from orchestrator.nix.flake import Flake
from orchestrator.ssh.settings import SshSettings

MODULES = 40
"""Files in ``templates/``, ``templates/profiles`` and ``templates/features``."""


def checked(fleet: Fleet, state: Path) -> Mapping[str, str | None]:
    """Check a fleet's modules, as they are in its folder now."""
    for argv in (("init", "--quiet"), ("add", "--all")):
        subprocess.run(("git", *argv), cwd=fleet.root, check=True)
    known = load(fleet.root).fleet
    flake = Flake.at(str(fleet.root), str(fleet.root), fleet.inputs)
    return asyncio.run(check_modules(Setup(known, flake, SshSettings(), state)))


def wrong(found: Mapping[str, str | None]) -> dict[str, str]:
    """What does not evaluate, and why."""
    return {name: error for name, error in found.items() if error is not None}


def test_every_module_of_the_example_evaluates_by_itself_and_in_a_host(
    fleet: Fleet, tmp_path: Path
) -> None:
    """Every file is checked; those that a host names are also checked there."""
    found = checked(fleet, tmp_path)
    assert wrong(found) == {}
    files = sorted((fleet.root / "templates").rglob("*.nix"))
    # Modules of Home Manager are no modules of a host: test_homes.py evaluates each by itself.
    files = [file for file in files if file.parent.name != "home"]
    assert len(files) >= MODULES
    for file in files:
        assert f"{file.relative_to(fleet.root)}, by itself" in found
    # dex5550 has one profile and the fewest features.
    assert "templates/profiles/server-admin.nix, in dex5550" in found
    assert "templates/base.nix, in dex5550" not in found


def test_a_module_that_needs_another_one_fails_by_itself_alone(
    fleet: Fleet, tmp_path: Path
) -> None:
    """What it sets is declared by another module that its host happens to have."""
    feature = "templates/features/printing.nix"
    (fleet.root / "templates/features/bluetooth.nix").write_text(
        "{ lib, ... }: { options.fleet.radio = lib.mkOption { default = 1; }; }\n"
    )
    (fleet.root / feature).write_text("{ fleet.radio = 2; }\n")
    found = wrong(checked(fleet, tmp_path))
    assert list(found) == [f"{feature}, by itself"]
    assert "fleet.radio" in found[f"{feature}, by itself"]


def test_a_module_that_fails_in_its_host_alone_is_told_there(fleet: Fleet, tmp_path: Path) -> None:
    """Two modules of one host that contradict each other: each by itself is right."""
    fleet.module("dex5550", '{ fleet.ports.monitoring = "no port"; }\n')
    found = wrong(checked(fleet, tmp_path))
    assert set(found) == {name for name in found if name.endswith(", in dex5550")}, (
        "no module by itself"
    )
    assert "templates/profiles/server-admin.nix, in dex5550" in found


def test_a_module_that_no_host_has_is_checked_by_itself(fleet: Fleet, tmp_path: Path) -> None:
    """Nobody would meet its mistake before the first host names it."""
    (fleet.root / "templates/features/unused.nix").write_text('{ }: throw "unused is broken"\n')
    found = checked(fleet, tmp_path)
    assert list(wrong(found)) == ["templates/features/unused.nix, by itself"]


def test_a_fleet_of_another_layout_is_told_where_modules_are_looked_for(
    fleet: Fleet, tmp_path: Path
) -> None:
    """Nothing is said to be right that was not looked at."""
    for file in (fleet.root / "templates").rglob("*.nix"):
        file.rename(fleet.root / file.name)
    with pytest.raises(UsageError, match=r"no modules in templates, templates/features"):
        checked(fleet, tmp_path)
