"""The example fleet is the five hosts that it is meant to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.inventory.fleet_json import refresh
from orchestrator.inventory.load import load
from orchestrator.inventory.select import select

ROOT = Path(__file__).parents[3]
FLEET = load(ROOT).fleet


def test_fleet_json_is_not_stale() -> None:
    """What is committed is what the YAML files say."""
    assert not refresh(ROOT, load(ROOT), frozen=True)


@pytest.mark.parametrize(
    ("host", "template", "profiles"),
    [
        ("p620", "workstation", ("developer", "desktop-user")),
        ("razer", "laptop", ("developer", "laptop-user")),
        ("samsung", "laptop", ("developer", "laptop-user")),
        ("p510", "server", ("server-admin", "developer")),
        ("dex5550", "server", ("server-admin",)),
    ],
)
def test_each_host_is_what_it_is(host: str, template: str, profiles: tuple[str, ...]) -> None:
    """Templates and profiles are those of the fleet."""
    assert (FLEET.hosts[host].template, FLEET.hosts[host].profiles) == (template, profiles)


def test_servers_are_reached_as_deploy() -> None:
    """Both ways to root are in use: directly, and through sudo."""
    users = {name: host.connect.user for name, host in FLEET.hosts.items()}
    assert users == {
        "p620": "root",
        "razer": "root",
        "samsung": "root",
        "p510": "deploy",
        "dex5550": "deploy",
    }


def test_roles_select() -> None:
    """The cache and the monitoring server are found by their roles."""
    assert [h.name for h in select(FLEET, ["role:cache"])] == ["p620"]
    assert [h.name for h in select(FLEET, ["role:monitoring-server"])] == ["dex5550"]


@pytest.mark.parametrize(
    ("kind", "folder"),
    [
        ("template", "templates"),
        ("profile", "templates/profiles"),
        ("feature", "templates/features"),
    ],
)
def test_every_name_is_a_module(kind: str, folder: str) -> None:
    """Each template, profile and feature that a host has is a file."""
    for host in FLEET.hosts.values():
        kinds = {"template": (host.template,), "profile": host.profiles, "feature": host.features}
        missing = [n for n in kinds[kind] if not (ROOT / folder / f"{n}.nix").is_file()]
        assert missing == []
