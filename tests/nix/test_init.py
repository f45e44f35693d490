"""A newcomer's first hour: from a clone of a fleet to a plan, with no edit of its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import newcomer_fleets as fleets
import pytest
import yaml
from newcomer_fleets import Clone, Parts, cloned, make_parts


@pytest.fixture(scope="session")
def parts(nixpkgs: Path, tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """What the fleets are made with."""
    return make_parts(nixpkgs, tmp_path_factory.mktemp("parts"))


def said(clone: Clone, file: str = "inventory/hosts.yaml") -> Any:
    """What an inventory's file says, read as any YAML is."""
    return yaml.safe_load(clone.read(file))


def planned(clone: Clone, *more: str) -> dict[str, Any]:
    """Plan, where no host answers: each host's outcome, with the system that would wait for it."""
    done = clone.type("plan", "--json", "--unreachable", "defer", *more)
    (report,) = [
        one for one in map(json.loads, done.stdout.splitlines()) if one["type"] == "report"
    ]
    assert done.returncode == 3, done.stderr
    return dict(report["hosts"])


def begun(files: dict[str, str], parts: Parts, folder: Path) -> Clone:
    """Clone a fleet, and type what a newcomer types."""
    clone = cloned(files, parts, folder)
    done = clone.type("init", "--yes")
    assert done.returncode == 0, done.stderr
    assert clone.git("status", "--porcelain", "--untracked-files=no") == ""
    (add,) = [line.strip() for line in done.stderr.splitlines() if line.startswith("  git add ")]
    clone.git(*add.partition("#")[0].split()[1:])
    return clone


def systems(clone: Clone, *more: str) -> dict[str, str]:
    """Each host and the system that a plan found for it, evaluated by Nix."""
    found = planned(clone, *more)
    assert {one["outcome"] for one in found.values()} == {"deferred"}, found
    assert clone.git("diff", "HEAD", "--diff-filter=a", "--name-only") == ""
    return {name: one["out_path"].partition("-")[2] for name, one in found.items()}


def test_flake_parts_with_read_dir_and_deploy_nodes(parts: Parts, tmp_path: Path) -> None:
    """Address, login, port and place to build come from deploy.nodes; an image is left out."""
    clone = begun(fleets.READ_DIR, parts, tmp_path)
    assert said(clone)["hosts"] == {
        "web-1": {
            "address": "127.0.0.2",
            "template": "server",
            "connect": {"user": "deploy", "port": 1},
        },
        "thinkpad": {
            "address": "127.0.0.3",
            "template": "laptop",
            "build": "target",
            "connect": {"user": "deploy"},
        },
    }
    assert "# deploy.nodes.web-1.hostname" in clone.read("inventory/hosts.yaml")
    assert "# guessed: its name" in clone.read("inventory/hosts.yaml")
    found = systems(clone)
    assert found.keys() == {"web-1", "thinkpad"}
    assert "nixos-system-web-1" in found["web-1"]


@pytest.mark.parametrize("files", [fleets.HIVE_FLAKE, fleets.RAW_HIVE], ids=["made", "raw"])
def test_colmenas_hive_in_a_flake(files: dict[str, str], parts: Parts, tmp_path: Path) -> None:
    """A hive is planned through a flake of ours, with what its `deployment` says."""
    clone = begun(files, parts, tmp_path)
    assert said(clone)["fleet"] == {"flake": "inventory"}
    assert said(clone)["hosts"] == {
        "hades": {
            "address": "127.0.0.4",
            "attr": "Hades",
            "template": "laptop",
            "tags": ["laptop", "fleet"],
            "connect": {"user": "admin", "port": 1},
        },
        "nas": {
            "address": "127.0.0.5",
            "template": "server",
            "tags": ["fleet"],
            "build": "target",
            "connect": {"user": "root", "port": 1},
        },
    }
    found = systems(clone)
    assert "nixos-system-Hades" in found["hades"]
    assert "nixos-system-nas" in found["nas"]


def test_a_plain_flake_with_home_manager_and_disko(parts: Parts, tmp_path: Path) -> None:
    """Without a word of where hosts answer they are reached by their names, and that is marked."""
    clone = begun(fleets.PLAIN, parts, tmp_path)
    assert said(clone)["hosts"] == {
        "desktop": {"address": "desktop", "template": "workstation"},
        "vps": {"address": "vps.example", "attr": "vps.example", "template": "server"},
    }
    for host in ("desktop", "vps"):
        text = clone.read("inventory/hosts.yaml").partition(f"  {host}:\n")[2]
        assert text.partition("\n")[0].endswith(
            "# guessed: its name: nothing says where it answers"
            if host == "desktop"
            else "# guessed: its name below nixosConfigurations"
        )
    assert systems(clone).keys() == {"desktop", "vps"}


def test_a_flake_in_a_subfolder(parts: Parts, tmp_path: Path) -> None:
    """A flake that is not at the top is found, and reads files beside its folder as before."""
    clone = begun(fleets.SUBFOLDER, parts, tmp_path)
    assert said(clone)["fleet"] == {"flake": "nix"}
    assert "nixos-system-router" in systems(clone)["router"]


def test_folders_of_hosts_with_npins(parts: Parts, tmp_path: Path) -> None:
    """No flake at all: each folder is a host, on the nixpkgs that npins has; new ones count too."""
    clone = begun(fleets.FOLDERS, parts, tmp_path)
    assert said(clone)["hosts"].keys() == {"mail", "t480"}
    found = systems(clone)
    assert "nixos-system-mail" in found["mail"]
    host = clone.root / "hosts/db/configuration.nix"
    host.parent.mkdir()
    host.write_text('{ imports = [ ../../common.nix ]; networking.hostName = "db"; }')
    clone.git("add", "hosts")
    before = clone.read("inventory/hosts.yaml")
    again = clone.type("init", "--yes")
    assert again.returncode == 0, again.stderr
    assert clone.read("inventory/hosts.yaml") == before
    assert said(clone, "inventory/hosts-2.yaml")["hosts"].keys() == {"db"}
    assert planned(clone).keys() == {"db", "mail", "t480"}


def test_hive_nix_with_npins(parts: Parts, tmp_path: Path) -> None:
    """A hive outside of a flake asks for the current system: it is told, purely."""
    clone = begun(fleets.HIVE, parts, tmp_path)
    assert said(clone)["hosts"]["hades"]["connect"] == {"user": "admin", "port": 1}
    assert systems(clone).keys() == {"hades", "nas"}


def test_default_nix_with_systems(parts: Parts, tmp_path: Path) -> None:
    """A default.nix with nixosConfigurations is taken as it is."""
    clone = begun(fleets.FILE, parts, tmp_path)
    assert "nixos-system-builder" in systems(clone)["builder"]
