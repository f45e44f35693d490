"""What stands behind options of the example fleet, by its real evaluation on the stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from nix_bench import Fleet, example_fleet

HOST = "p620"
OWN = """
  services.openssh.settings.PermitRootLogin = lib.mkForce "no";
  system.stateVersion = lib.mkForce (throw "nobody knows");
  environment.etc."marker".text = lib.mkIf true "here";
  fleet = lib.mkIf false { name = { }.neverLookedAt; };
  users.users.ada = { isNormalUser = true; home = lib.mkForce "/srv/ada"; };
"""


@pytest.fixture(scope="module")
def option_fleet(nixpkgs: Path, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """The example fleet with definitions of a host's own."""
    fleet = example_fleet(tmp_path_factory.mktemp("option") / "fleet", nixpkgs)
    fleet.pin()
    file = fleet.root / "hosts" / HOST / "default.nix"
    text = file.read_text().replace("{ ... }:", "{ lib, ... }:")
    file.write_text(text.rstrip().removesuffix("}") + OWN + "}\n")
    return fleet


def ask(fleet: Fleet, path: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Ask for an option, as a person does."""
    return subprocess.run(
        (sys.executable, "-m", "orchestrator", "option", HOST, path, "--no-lab", *more),
        cwd=fleet.root,
        env=os.environ | {"XDG_STATE_HOME": str(fleet.root.parent / "state")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def told(fleet: Fleet, path: str) -> dict[str, Any]:
    """What a script is told of an option."""
    done = ask(fleet, path, "--json")
    assert done.returncode == 0, done
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_definitions_are_ranked_and_those_that_do_not_count_are_told(option_fleet: Fleet) -> None:
    """A host's mkForce goes before a template's mkDefault: both with file and line."""
    found = told(option_fleet, "services.openssh.settings.PermitRootLogin")
    assert found["value"] == "no"
    first, second = found["definitions"][:2]
    host = (option_fleet.root / f"hosts/{HOST}/default.nix").read_text().splitlines()
    base = (option_fleet.root / "templates/base.nix").read_text().splitlines()
    assert (first["file"], first["set_by"], first["counts"]) == (
        f"hosts/{HOST}/default.nix",
        "mkForce",
        True,
    )
    assert "PermitRootLogin" in host[first["line"] - 1]
    assert (second["file"], second["set_by"], second["counts"]) == (
        "templates/base.nix",
        "mkDefault",
        False,
    )
    assert "PermitRootLogin" in base[second["line"] - 1]
    assert second["value"] == "prohibit-password"


def test_what_stands_under_a_condition_that_is_false_is_told(option_fleet: Fleet) -> None:
    """What is not taken comes last, with its file and line; what it says is not looked at."""
    found = told(option_fleet, "fleet.name")
    *others, last = found["definitions"]
    assert all(one["taken"] for one in others)
    assert others[0]["counts"]
    assert (last["taken"], last["counts"], last["priority"], last["value"]) == (
        *(False, False),
        *(None, None),
    )
    host = (option_fleet.root / f"hosts/{HOST}/default.nix").read_text().splitlines()
    assert "fleet = lib.mkIf false" in host[last["line"] - 1]
    assert "not taken: its condition is false" in ask(option_fleet, "fleet.name").stdout


def test_an_option_that_is_declared_is_described(option_fleet: Fleet) -> None:
    """Type, default and place of the declaration come from the module system."""
    found = told(option_fleet, "fleet.name")
    assert found["value"] == HOST
    assert found["type"] == "string"
    assert found["declared"][0]["file"] == "templates/base.nix"
    assert found["description"] == "The host's name in the inventory."
    assert found["doubt"] == ""


def test_a_path_goes_on_into_sets_of_submodules(option_fleet: Fleet) -> None:
    """A user's own definition is found below ``users.users``."""
    found = told(option_fleet, "users.users.ada.home")
    assert found["value"] == "/srv/ada"
    first = found["definitions"][0]
    assert (first["file"], first["priority"]) == (f"hosts/{HOST}/default.nix", 50)


def test_a_value_that_does_not_evaluate_is_told_with_its_reason(option_fleet: Fleet) -> None:
    """Who defines it is known all the same."""
    found = told(option_fleet, "system.stateVersion")
    assert found["value"] is None
    assert "nobody knows" in found["error"]
    assert found["definitions"][0]["file"] == f"hosts/{HOST}/default.nix"


def test_a_set_of_options_is_listed(option_fleet: Fleet) -> None:
    """The names below a path, one a line."""
    done = ask(option_fleet, "fleet")
    assert done.returncode == 0, done
    assert "name" in done.stdout.splitlines()


def test_a_mistyped_path_is_corrected(option_fleet: Fleet) -> None:
    """The nearest name, at the level at which the path goes wrong."""
    done = ask(option_fleet, "fleet.nam")
    assert done.returncode == 2
    assert "did you mean fleet.name?" in done.stderr


def test_what_is_below_a_value_that_has_nothing_below_it_is_no_option(option_fleet: Fleet) -> None:
    """The message names the option at which the path goes wrong, and not the host."""
    done = ask(option_fleet, "services.openssh.enable.x.y")
    assert done.returncode == 2
    assert f"there is no x in services.openssh.enable of {HOST}" in done.stderr


def test_what_hosts_share_is_a_number(option_fleet: Fleet) -> None:
    """Lines and definitions of a host's own files are its own; what templates say is shared."""
    done = subprocess.run(
        (sys.executable, "-m", "orchestrator", "inventory", "shared", "--no-lab", "--json"),
        cwd=option_fleet.root,
        env=os.environ | {"XDG_STATE_HOME": str(option_fleet.root.parent / "state")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done
    found = json.loads(done.stdout)
    host = found["hosts"][HOST]
    assert 0 < host["lines"]["own"] < host["lines"]["all"]
    assert 0 < host["definitions"]["own"] < host["definitions"]["all"]
    assert 0 < host["settings"]["own"] < host["settings"]["all"]
    assert host["problem"] is None
