"""Which ``secrets.nix`` is a fleet's rules, and which is a module of NixOS that has that name."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orchestrator.core.errors import UsageError
from orchestrator.core.host import Fleet
from orchestrator.secrets.place import find, place_of

MODULES = (
    "{ config, lib, ... }:\n{\n  sops.defaultSopsFile = ./x.yaml;\n}\n",
    "# ours\n{ pkgs, ... }@all: { }\n",
    "{\n  age.secrets.wifi.file = ./wifi.age;\n}\n",
    "{ sops = { }; }\n",
)
RULES = (
    '{ "a.age".publicKeys = [ ]; }\n',
    '# not { config, ... }: a module\n{ ... }: { "a.age".publicKeys = [ ]; }\n',
    "import ./rules.nix\n",
    "import ./age.nix // import ./sops.nix\n",
    "let config = import ./keys.nix; in builtins.mapAttrs config.rule { }\n",
    "{ }\n",
)


@pytest.mark.parametrize("text", MODULES)
def test_a_module_of_that_name_is_no_rules(tmp_path: Path, text: str) -> None:
    """A fleet of sops-nix has nothing to check, and one of agenix has its rules elsewhere."""
    (tmp_path / "secrets.nix").write_text(text)
    assert find(tmp_path) is None
    rules = tmp_path / "secrets" / "secrets.nix"
    rules.parent.mkdir()
    rules.write_text(RULES[0])
    assert find(tmp_path) == rules


@pytest.mark.parametrize("text", RULES)
def test_rules_may_be_written_in_any_way(tmp_path: Path, text: str) -> None:
    """What may be rules is taken for rules: whether they are, Nix tells."""
    (tmp_path / "secrets.nix").write_text(text)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "secrets.nix").write_text(RULES[0])
    assert find(tmp_path) == tmp_path / "secrets.nix"


def test_a_fleet_of_agenix_rekey_is_recognised(tmp_path: Path) -> None:
    """Such a fleet has no secrets.nix: who reads its secrets is said by its configurations."""
    fleet = Fleet("f", str(tmp_path), str(tmp_path), {})
    with pytest.raises(UsageError, match="there is no"):
        asyncio.run(place_of(tmp_path / "secrets.nix", fleet))
    (tmp_path / "flake.nix").write_text('{ inputs.r.url = "github:oddlama/agenix-rekey"; }')
    with pytest.raises(UsageError, match="this fleet's secrets are agenix-rekey's"):
        asyncio.run(place_of(tmp_path / "secrets.nix", fleet))
