"""Which ``secrets.nix`` is a fleet's rules, and which is a module of NixOS that has that name."""

from __future__ import annotations

import asyncio
import subprocess
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
    assert find(tmp_path) == ()
    rules = tmp_path / "secrets" / "secrets.nix"
    rules.parent.mkdir()
    rules.write_text(RULES[0])
    assert find(tmp_path) == (rules,)


@pytest.mark.parametrize("text", RULES)
def test_rules_may_be_written_in_any_way(tmp_path: Path, text: str) -> None:
    """What may be rules is taken for rules: whether they are, Nix tells."""
    (tmp_path / "secrets.nix").write_text(text)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "secrets.nix").write_text(RULES[0])
    assert find(tmp_path) == (tmp_path / "secrets.nix", tmp_path / "secrets/secrets.nix")


def test_a_fleet_of_agenix_rekey_is_recognised(tmp_path: Path) -> None:
    """Such a fleet has no secrets.nix: who reads its secrets is said by its configurations."""
    fleet = Fleet("f", str(tmp_path), str(tmp_path), {})
    with pytest.raises(UsageError, match="there is no"):
        asyncio.run(place_of(tmp_path / "secrets.nix", fleet=fleet))
    (tmp_path / "flake.nix").write_text('{ inputs.r.url = "github:oddlama/agenix-rekey"; }')
    with pytest.raises(UsageError, match="this fleet's secrets are agenix-rekey's"):
        asyncio.run(place_of(tmp_path / "secrets.nix", fleet=fleet))


def files(root: Path, *paths: str, text: str = RULES[0]) -> list[Path]:
    """Write the same text to some files."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return [root / path for path in paths]


def test_one_file_of_rules_by_host_is_found_by_its_place(tmp_path: Path) -> None:
    """Beside a shared one or without; what cannot be rules, or is another's, is not taken."""
    of_hosts = files(
        tmp_path,
        "hosts/p620/secrets/secrets.nix",
        "hosts/razer/secrets.nix",
        "machines/a/secrets.nix",
    )
    assert sorted(find(tmp_path)) == of_hosts
    (shared,) = files(tmp_path, "secrets/secrets.nix")
    assert find(tmp_path)[0] == shared
    assert sorted(find(tmp_path)[1:]) == of_hosts
    files(tmp_path, "hosts/x/secrets.nix", text="{ config, ... }: { } # no publicKeys")
    files(tmp_path, "hosts/y/secrets.nix", text='{ wifi = "a value"; }')
    files(tmp_path, "hosts/z/secrets.nix", "hosts/u/secrets/secrets.nix", "lib/x/secrets.nix")
    (tmp_path / "hosts/z/inventory").mkdir()
    (tmp_path / "hosts/u/.git").mkdir()
    (tmp_path / "hosts/link").symlink_to(tmp_path / "hosts/razer")
    assert sorted(find(tmp_path)[1:]) == of_hosts


def test_the_files_that_the_inventory_names_are_all(tmp_path: Path) -> None:
    """Any name and any folder, and none that would be found by its place beside them."""
    named = files(tmp_path, "a/rules.nix", "b.nix")
    files(tmp_path, "secrets/secrets.nix")
    assert list(find(tmp_path, ("a/rules.nix", "b.nix"))) == named


def test_rules_of_two_repositories_are_not_taken_for_one(tmp_path: Path) -> None:
    """Git knows nothing of the other's files: what would be said of them would be wrong."""
    subprocess.run(("git", "init", "-q", tmp_path), check=True)
    given = files(tmp_path, "secrets/secrets.nix", "hosts/a/secrets.nix", "hosts/b/secrets.nix")
    place = asyncio.run(place_of(*given))
    assert place.names == ("secrets/secrets.nix", "hosts/a/secrets.nix", "hosts/b/secrets.nix")
    assert place.folders == ("secrets", "hosts/a", "hosts/b")
    subprocess.run(("git", "init", "-q", tmp_path / "hosts/b"), check=True)
    with pytest.raises(UsageError, match=r"hosts/b/secrets\.nix is not in the git repository of"):
        asyncio.run(place_of(*given))


def test_a_file_is_of_the_rules_in_the_deepest_folder_above_it(tmp_path: Path) -> None:
    """A new secret's rule goes where its host's are; one that is above none of them has none."""
    subprocess.run(("git", "init", "-q", tmp_path), check=True)
    place = asyncio.run(place_of(*files(tmp_path, "s/secrets.nix", "s/a/secrets.nix")))
    nearest = [place.nearest(path) for path in ("s/x.age", "s/a/b/x.age", "x.age", "s2/x.age")]
    assert [one and one.name for one in nearest] == [
        *("s/secrets.nix", "s/a/secrets.nix", None, None)
    ]
