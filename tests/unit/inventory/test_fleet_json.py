"""``fleet.json`` is canonical, complete for Nix, and never stale unnoticed."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.core.errors import UsageError
from orchestrator.inventory.fleet_json import PATH, fleet_json, refresh
from orchestrator.inventory.load import Inventory, load

Write = Callable[..., Path]
Loaded = Callable[..., Inventory]

TEMPLATED = "templates: {box: }\nhosts: {web1: {template: box}}\n"
FULL = """\
fleet: {name: example}
users: {admin: {groups: [wheel], profiles: [dev]}}
templates: {box: {profiles: [dev]}}
profiles: {dev: {features: [f]}}
features: {f: {}}
hosts:
  web1:
    {template: box, roles: [cache], tags: [t], users: [admin], state_version: "25.05",
     hardware: {cpu: amd, n: [1, {b: true}]}, connect: {port: 22}, verify: {retries: 3}}
  a:
"""


def test_the_contract_with_nix(loaded: Loaded) -> None:
    """Exactly what flake.nix reads is there, and nothing of connections and verification."""
    assert json.loads(fleet_json(loaded(h=FULL))) == {
        "format": 1,
        "name": "example",
        "users": {
            "admin": {"groups": ["wheel"], "shell": None, "ssh_keys": [], "profiles": ["dev"]}
        },
        "hosts": {
            "web1": {
                "system": "x86_64-linux",
                "template": "box",
                "profiles": ["dev"],
                "features": ["f"],
                "settings": {},
                "roles": ["cache"],
                "tags": ["t"],
                "users": ["admin"],
                "hardware": {"cpu": "amd", "n": [1, {"b": True}]},
                "state_version": "25.05",
            },
            "a": {
                "system": "x86_64-linux",
                "template": None,
                "profiles": [],
                "features": [],
                "settings": {},
                "roles": [],
                "tags": [],
                "users": [],
                "hardware": {},
                "state_version": None,
            },
        },
    }


def test_it_is_canonical(loaded: Loaded) -> None:
    """Keys are sorted and the file ends with a line end: the same fleet gives the same bytes."""
    text = fleet_json(loaded(h=FULL))
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"


def test_a_changed_port_changes_nothing(loaded: Loaded) -> None:
    """How a host is reached rebuilds nothing."""
    before = fleet_json(loaded(h=FULL))
    assert fleet_json(loaded(h=FULL.replace("22", "2222"))) == before


def test_a_clone_in_another_folder_gives_the_same(write: Write, tmp_path: Path) -> None:
    """The folder's name is not in it."""
    root = write(h=TEMPLATED)
    before = fleet_json(load(root))
    assert fleet_json(load(root.rename(tmp_path / "elsewhere"))) == before


def test_a_stale_file_is_written_once(write: Write) -> None:
    """A refresh tells that it wrote; the next has nothing to do."""
    root = write(h=TEMPLATED)
    inventory = load(root)
    assert refresh(root, inventory, frozen=False)
    assert (root / PATH).read_text() == fleet_json(inventory)
    assert stat.S_IMODE((root / PATH).stat().st_mode) == 0o644
    assert not refresh(root, inventory, frozen=False)
    assert not refresh(root, inventory, frozen=True)
    assert sorted(p.name for p in (root / "inventory").iterdir()) == ["fleet.json", "h.yaml"]


@pytest.mark.parametrize("stale", [None, "", "{}\n"])
def test_frozen_refuses_a_stale_file(write: Write, stale: str | None) -> None:
    """CI is told which command to run, and nothing is written."""
    root = write(h=TEMPLATED)
    if stale is not None:
        (root / PATH).write_text(stale)
    with pytest.raises(UsageError, match="stale") as caught:
        refresh(root, load(root), frozen=True)
    assert "orchestrator inventory generate" in str(caught.value.hint)
    assert caught.value.exit_code == 2
    assert ((root / PATH).read_text() if (root / PATH).exists() else None) == stale


def test_a_flake_without_modules_for_templates_needs_no_file(write: Write) -> None:
    """A template is a word for people there: no file is made that its flake does not read."""
    root = write(h=TEMPLATED)
    (root / "templates").rmdir()
    assert not refresh(root, load(root), frozen=True)
    assert not refresh(root, load(root), frozen=False)
    assert not (root / PATH).exists()


def test_an_existing_flake_needs_no_file(write: Write) -> None:
    """Without a template nothing is written, unless it is asked for or there already."""
    root = write(h="hosts: {web1: }")
    inventory = load(root)
    assert not refresh(root, inventory, frozen=True)
    assert not refresh(root, inventory, frozen=False)
    assert not (root / PATH).exists()
    assert refresh(root, inventory, frozen=False, create=True)
    (root / PATH).write_text("{}")
    assert refresh(root, inventory, frozen=False)


def test_a_folder_in_its_place_is_told(write: Write) -> None:
    """What cannot be written is an error that names the file, and leaves no temporary one."""
    root = write(h=TEMPLATED)
    (root / PATH / "x").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"inventory/fleet\.json: "):
        refresh(root, load(root), frozen=False)
    assert sorted(p.name for p in (root / "inventory").iterdir()) == ["fleet.json", "h.yaml"]
