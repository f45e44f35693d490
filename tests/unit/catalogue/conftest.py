"""A fleet with a catalogue, and the commands that look at it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli.main import orchestrator
from orchestrator.inventory import fleet_json
from orchestrator.inventory.load import load

CATALOGUE = """\
features:
  dashboard:
    description: Shows how the hosts are.
    requires: [monitoring]
    risk: moderate
    because: it is seen from outside.
    mitigations: [a password]
  monitoring:
    requires: [exporter]
    needs: {memory: 2G, cpus: 2}
  exporter: {conflicts: [silence]}
  silence:
  gnome: {one_of: desktop, needs: {gpu: any}}
  plasma: {one_of: desktop}
tiers:
  minimal: {features: [exporter], needs: {memory: 1G}}
  standard: {extends: minimal, features: [gnome], needs: {memory: 4G, cpus: 2, gpu: any}}
"""
HOSTS = """\
hosts:
  web1:
    tier: standard
    # what it shows
    features: [dashboard]
  web2:
    hardware: {memory: 8G}
"""
SCHEMA = """{"type": "object", "properties": {
"mode": {"enum": ["client", "server"], "default": "client", "description": "What it is."},
"port": {"type": "integer", "default": 9100}, "tls": {"type": "object", "properties":
{"name": {"type": "string"}}}}}"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fleet of two hosts, committed."""
    folder = tmp_path / "fleet"
    (folder / "inventory").mkdir(parents=True)
    (folder / "templates/features").mkdir(parents=True)
    (folder / "inventory/catalogue.yaml").write_text(CATALOGUE)
    (folder / "inventory/hosts.yaml").write_text(HOSTS)
    (folder / "templates/features/monitoring.schema.json").write_text(SCHEMA)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("ORCHESTRATOR_FLEET", str(folder))
    fleet_json.refresh(folder, load(folder), frozen=False, create=True)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    """Commit all that is in a folder."""
    git = ("git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "the fleet")):
        subprocess.run([*git, *words], check=True, timeout=60)


@pytest.fixture
def run(root: Path) -> Callable[..., Result]:
    """Run a command of ``catalogue``; what it raises comes out."""

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(orchestrator, ["catalogue", *words], catch_exceptions=False)

    return invoke
