"""Features with settings, from the inventory to the modules; what is required is in both."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
from nix_bench import Fleet

from orchestrator.cli.main import main
from orchestrator.fleet.modules import check_modules
from orchestrator.host.setup import Setup
from orchestrator.inventory import fleet_json
from orchestrator.inventory.load import load
from orchestrator.nix.flake import Flake
from orchestrator.ssh.settings import SshSettings

MODULE = """\
{ config, ... }:
let
  inherit (config.fleet.settings) greeting;
in
{
  fleet.ports.greeting = greeting.port;
  environment.etc."fleet/greeting".text = "${greeting.word} ${builtins.toJSON greeting.to}";
}
"""
SCHEMA = {
    "type": "object",
    "properties": {
        "word": {"type": "string", "default": "hello"},
        "port": {"type": "integer", "default": 4711},
        "to": {"type": "array", "items": {"type": "string", "format": "host"}, "default": []},
    },
}
DOOR = "{ fleet.ports.door = 1; }\n"
CATALOGUE = """\
features:
  greeting: {requires: [door]}
  door:
"""


@pytest.fixture
def greeting(fleet: Fleet) -> Fleet:
    """The example fleet with a feature that takes settings; nobody has it yet."""
    folder = fleet.root / "templates/features"
    (folder / "greeting.nix").write_text(MODULE)
    (folder / "greeting.schema.json").write_text(json.dumps(SCHEMA))
    (folder / "door.nix").write_text(DOOR)
    (fleet.root / "inventory/more.yaml").write_text(CATALOGUE)
    return fleet


def generate(fleet: Fleet) -> None:
    """Write ``fleet.json`` anew."""
    fleet_json.refresh(fleet.root, load(fleet.root), frozen=False)


def test_settings_reach_the_module(greeting: Fleet) -> None:
    """What the inventory says and the schema's defaults are what the evaluated host has."""
    greeting.replace(
        "inventory/hosts.yaml",
        "binary-cache:",
        "binary-cache:\n      greeting: {word: hi, to: [p510]}",
    )
    generate(greeting)
    host = load(greeting.root).fleet.hosts["p620"]
    assert greeting.option("p620", 'environment.etc."fleet/greeting".text') == 'hi ["p510"]'
    assert greeting.option("p620", "fleet.ports")["greeting"] == 4711
    assert greeting.option("p620", "fleet.settings") == host.settings
    said = json.loads(greeting.option("p620", 'environment.etc."fleet/host.json".text'))
    assert said["settings"] == host.settings


def test_the_resolved_features_are_those_that_nix_builds(greeting: Fleet) -> None:
    """What a feature requires is evaluated with it, by plain Nix, and by the same list."""
    greeting.replace("inventory/hosts.yaml", "media-server:", "media-server:\n      greeting:")
    generate(greeting)
    features = load(greeting.root).fleet.hosts["p510"].features
    assert {"door", "greeting"} <= set(features)
    assert tuple(greeting.option("p510", "fleet.features")) == features
    assert greeting.option("p510", "fleet.ports")["door"] == 1


def test_a_feature_that_is_removed_is_not_built(greeting: Fleet) -> None:
    """A host that drops a feature of its template is evaluated without it; others keep it."""
    systems = greeting.systems()
    greeting.replace(
        "inventory/hosts.yaml",
        "media-server:",
        "media-server:\n      remove: [status-api]",
    )
    generate(greeting)
    assert "status-api" not in greeting.option("p510", "fleet.features")
    now = greeting.systems()
    assert {name for name in now if now[name] != systems[name]} == {"p510"}


def test_a_module_with_settings_is_evaluated_by_itself(greeting: Fleet, tmp_path: Path) -> None:
    """A feature that no host has is checked with its defaults, beside what it requires."""
    generate(greeting)
    greeting.replace(
        "templates/features/greeting.nix",
        "fleet.ports.greeting",
        "assertions = [ {\n"
        'assertion = config.fleet.ports.door == 1; message = "no door"; } ];\n'
        "fleet.ports.greeting",
    )
    for argv in (("init", "--quiet"), ("add", "--all")):
        subprocess.run(("git", *argv), cwd=greeting.root, check=True)
    flake = Flake.at(str(greeting.root), str(greeting.root), greeting.inputs)
    setup = Setup(load(greeting.root).fleet, flake, SshSettings(), tmp_path)
    found = asyncio.run(check_modules(setup))
    assert found["templates/features/greeting.nix, by itself"] is None


def test_turning_a_feature_on_evaluates_and_plans(
    greeting: Fleet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The plan after ``catalogue enable`` is of the system with the feature, and its settings."""
    greeting.pin()
    generate(greeting)
    for argv in (("init", "--quiet"), ("add", "--all")):
        subprocess.run(("git", *argv), cwd=greeting.root, check=True)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = ("enable", "greeting", "p620", "--set", "word=hi", "--goal", "build")
    with pytest.raises(SystemExit) as ended:
        main(["catalogue", *words, "--fleet", str(greeting.root)])
    assert ended.value.code == 0
    said = capsys.readouterr()
    assert "+ door  inventory/hosts.yaml:" in said.out
    assert "p620  would build" in said.out
    assert greeting.option("p620", "fleet.settings")["greeting"]["word"] == "hi"
    assert greeting.option("p620", "fleet.ports")["door"] == 1
