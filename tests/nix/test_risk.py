"""The risk of real evaluations: the example fleet's, on the stand-in."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from nix_bench import Fleet

from orchestrator.core.errors import StepError
from orchestrator.core.risk import Assessment
from orchestrator.host.setup import Setup
from orchestrator.inventory.load import load
from orchestrator.nix.flake import Flake
from orchestrator.risk.assess import assess_hosts
from orchestrator.ssh.settings import SshSettings


def setup_of(fleet: Fleet, state: Path) -> Setup:
    """A fleet as commands open it, its inputs replaced."""
    loaded = load(fleet.root).fleet
    flake = Flake.at(loaded.flake, loaded.root, fleet.inputs)
    return Setup(loaded, flake, SshSettings(), state)


def risks(fleet: Fleet, state: Path, *names: str) -> dict[str, Assessment]:
    """Assess hosts; all of them evaluate."""
    setup = setup_of(fleet, state)
    hosts = [setup.fleet.hosts[name] for name in names]
    found = asyncio.run(assess_hosts(setup, hosts))
    assert not any(isinstance(one, StepError) for one in found.values()), found
    return {name: one for name, one in found.items() if isinstance(one, Assessment)}


def what(found: Assessment) -> set[str]:
    """What a host does, in words."""
    return {term.what for term in found.terms}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A fleet's state folder."""
    return tmp_path / "state"


def test_a_host_is_assessed_by_what_its_modules_evaluate_to(fleet: Fleet, state: Path) -> None:
    """What features and the template open is found, wherever it was said."""
    found = risks(fleet, state, "p510")["p510"]
    assert "opens 8080/tcp to everybody" in what(found)
