"""What an inventory says to Nix: flakes and settings, and what it may not say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.core import nix_settings
from orchestrator.core.nix_settings import NixSettings
from orchestrator.inventory.load import Inventory, load
from orchestrator.inventory.nix_keys import flake_of

LAYERS = """
defaults:
  nix: {accept_flake_config: true, options: {cores: 2, fallback: true}}
hosts:
  plain:
  own:
    nix:
      impure: true
      override_inputs: {nixpkgs: "path:../pkgs", a/b: ./b, other: "github:o/r"}
      options: {cores: 4, extra-substituters: [https://a, https://b]}
"""


def test_settings_of_the_fleet_and_of_a_host_are_laid_over_each_other(
    loaded: Callable[..., Inventory],
) -> None:
    """The host's go first, name by name; paths are made absolute, values are nix.conf's texts."""
    fleet = loaded(h=LAYERS).fleet
    shared = (("cores", "2"), ("fallback", "true"))
    assert fleet.nix == NixSettings(accept_flake_config=True, options=shared)
    assert fleet.hosts["plain"].nix == fleet.nix
    pkgs, below = Path(fleet.root).parent / "pkgs", Path(fleet.root) / "b"
    assert fleet.hosts["own"].nix == NixSettings(
        impure=True,
        accept_flake_config=True,
        override_inputs=(("a/b", str(below)), ("nixpkgs", f"path:{pkgs}"), ("other", "github:o/r")),
        options=(
            ("cores", "4"),
            ("extra-substituters", "https://a https://b"),
            ("fallback", "true"),
        ),
    )


@pytest.mark.parametrize("name", sorted(nix_settings.REFUSED))
def test_an_option_that_opens_a_hole_is_refused_with_its_reason(
    mistakes: Callable[..., list[str]], name: str
) -> None:
    """Programs, secrets, trust and the sandbox are this machine's nix.conf's to decide."""
    (line,) = mistakes(h=f"hosts: {{web1: {{nix: {{options: {{{name}: x}}}}}}}}")
    assert nix_settings.REFUSED[name] in line
    assert name not in nix_settings.OPTIONS


def test_an_option_that_nix_does_not_have_is_named_with_the_nearest(
    mistakes: Callable[..., list[str]],
) -> None:
    """A name that is spelled wrong is a mistake here, and no warning that Nix prints unseen."""
    (line,) = mistakes(h="hosts: {web1: {nix: {options: {connect-timeot: 5}}}}")
    assert "did you mean 'connect-timeout'?" in line


@pytest.mark.parametrize("value", ['"a\\nplugin-files = /x"', '"\\0"', "{a: b}", "null"])
def test_the_value_of_an_option_is_one_line(mistakes: Callable[..., list[str]], value: str) -> None:
    """A value cannot bring a second setting along, nor be of a form that nix.conf has not."""
    assert len(mistakes(h=f"hosts: {{web1: {{nix: {{options: {{cores: {value}}}}}}}}}")) == 1


@pytest.mark.parametrize(
    ("text", "flake"),
    [
        (".", "/r/f"),
        ("nix", "/r/f/nix"),
        (".?dir=nix", "/r/f/nix"),
        ("../up?dir=a/b", "/r/up/a/b"),
        ("git+file:///x/y?dir=nix", "/x/y/nix"),
        ("git+file:.?dir=nix", "/r/f/nix"),
        # Another commit than what is checked out, or no work tree at all: that is Nix's to fetch.
        ("git+file:///x?ref=main", "git+file:///x?ref=main"),
        ("git+file:///x?dir=a&rev=b", "git+file:///x?dir=a&rev=b"),
        ("path:./x", "path:./x"),
        ("github:a/b?dir=x", "github:a/b?dir=x"),
        ("git+https://h/x?dir=y", "git+https://h/x?dir=y"),
    ],
)
def test_a_work_tree_is_known_by_each_of_its_names(text: str, flake: str) -> None:
    """What Nix reads from a work tree here is learned, however the inventory spells it."""
    assert flake_of(Path("/r/f"), text) == flake


def test_a_wrong_path_to_a_flake_is_a_mistake_of_the_inventory(
    write: Callable[..., Path], mistakes: Callable[..., list[str]]
) -> None:
    """Said before anything is evaluated, with the place and where there is one."""
    root = write()
    (root / "nix").mkdir()
    (root / "nix/flake.nix").write_text("{ }")
    (line,) = mistakes(f="fleet: {flake: nx}", h="hosts: {web1: }")
    assert line.startswith("inventory/f.yaml:1:16: the flake 'nx': there is no flake.nix in ")
    assert line.endswith("expected a folder that has one: nix; did you mean 'nix'?")
    (root / "inventory/f.yaml").write_text("fleet: {flake: '.?dir=nix'}")
    assert load(root).fleet.flake == str(root / "nix")


def test_a_file_of_rules_that_is_named_and_not_there_is_a_mistake(
    write: Callable[..., Path], mistakes: Callable[..., list[str]]
) -> None:
    """A misspelt name would leave a host's secrets unchecked; a path does not lead out."""
    root = write()
    (root / "one.nix").write_text("{ }")
    (line,) = mistakes(f="secrets: {rules: [one.nix, two.nix]}", h="hosts: {web1: }")
    assert line.startswith("inventory/f.yaml:1:28: the rules 'two.nix': there is no such file")
    (root / "inventory/f.yaml").write_text("secrets: {rules: [one.nix]}")
    assert load(root).fleet.secrets_rules == ("one.nix",)
    assert len(mistakes(f="secrets: {rules: [../one.nix, /one.nix]}")) == 2


def test_a_host_has_a_flake_of_its_own(write: Callable[..., Path]) -> None:
    """More than one flake in a fleet: a folder of it, another repository, a URL."""
    root = write(h="hosts: {web1: , web2: {flake: ../two}, web3: {flake: 'github:o/r'}}")
    two = root.parent / "two"
    two.mkdir()
    (two / "flake.nix").write_text("{ }")
    hosts = load(root).fleet.hosts
    assert [host.flake for host in hosts.values()] == [None, str(two), "github:o/r"]


def test_a_configuration_with_a_name_that_no_host_has_leads_to_attr(
    loaded: Callable[..., Inventory], mistakes: Callable[..., list[str]]
) -> None:
    """Dots and capitals are fine in an attribute, and a host of that name is told so."""
    (line,) = mistakes(h="hosts: {Db.example.org: }")
    assert "a configuration of another name is named by `attr:` below it" in line
    hosts = loaded(h="hosts: {db: {attr: Db.example.org}}").fleet.hosts
    assert hosts["db"].attr == "Db.example.org"
