"""The example fleet is the five hosts that it is meant to be."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from orchestrator.core.risk import Risk
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


def test_every_declared_feature_is_used_implemented_and_verified() -> None:
    """The catalogue has a module, a suite and a host for each of its features, at least 25."""
    used = {name for host in FLEET.hosts.values() for name in host.features}
    assert used == FLEET.features.keys()
    assert len(used) >= 25
    for name in used:
        suite = f"tests/verify/features/test_{name.replace('-', '_')}.py"
        assert (ROOT / f"templates/features/{name}.nix").is_file(), name
        assert (ROOT / suite).is_file(), name


def test_a_declared_risk_says_why() -> None:
    """Each declared risk says why it is one; from moderate on, also what makes it less."""
    for name, feature in FLEET.features.items():
        assert feature.description, name
        assert bool(feature.risk) == bool(feature.because), name
        if feature.risk is not None and feature.risk >= Risk.MODERATE:
            assert feature.mitigations, name


def test_tiers_grow() -> None:
    """Each of the five tiers has the features of the one before, and needs no less of a machine."""
    tiers = list(FLEET.tiers.values())
    assert [tier.name for tier in tiers] == [
        *("minimal", "standard", "enhanced", "professional", "enterprise"),
    ]
    for less, more in itertools.pairwise(tiers):
        assert set(less.features) < set(more.features)
        for key in ("memory", "cpus", "disk"):
            assert getattr(less.needs, key) <= getattr(more.needs, key)


def test_settings_make_one_server_and_its_clients() -> None:
    """One host collects for the others and keeps their logs; each laptop has its own desktop."""
    for feature in ("monitoring", "logs"):
        modes = {
            name: host.settings[feature]["mode"]
            for name, host in FLEET.hosts.items()
            if feature in host.features
        }
        assert modes == {"p620": "client", "p510": "client", "dex5550": "server"}
    assert "sway" in FLEET.hosts["samsung"].features
    assert "sway" not in FLEET.hosts["razer"].features
    assert "plasma" in FLEET.hosts["razer"].features
    languages = FLEET.hosts["p620"].settings["development"]["languages"]
    assert languages == ["c", "nix", "python", "shell", "go", "java", "node", "rust"]
