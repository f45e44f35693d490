"""``catalogue status``: what a host has and why, whether that runs, and what its machine lacks."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result

from orchestrator.core.errors import UnreachableError
from orchestrator.core.facts import Fact, Facts
from orchestrator.core.process import CommandResult
from orchestrator.facts import cache
from orchestrator.host import setup as host_setup
from orchestrator.host.setup import state_folder
from orchestrator.inventory.load import load

Run = Callable[..., Result]
GIB = 2**30


class Says:
    """A host that says which features it has, or does not answer."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.rc = 0

    @contextlib.asynccontextmanager
    async def reach(self, *_: object) -> AsyncIterator[Says]:
        """Open the way to it."""
        if self.text is None:
            raise UnreachableError("no SSH connection")
        yield self

    async def run(self, argv: tuple[str, ...], **_: object) -> CommandResult:
        """Give what it says."""
        assert argv[-1] == "/etc/fleet/host.json"
        return CommandResult(self.rc, (self.text or "").encode(), b"")


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Says:
    """What the fleet's hosts say."""
    host = Says()
    monkeypatch.setattr(host_setup, "reach", host.reach)
    return host


def _states(run: Run, host: str) -> dict[str, str]:
    said = json.loads(run("status", host, "--json").stdout)
    return {one["name"]: one["state"] for one in said["features"]}


def test_features_are_compared_with_what_the_host_runs(run: Run, says: Says) -> None:
    """A feature is applied, pending, running with other settings, or to be removed."""
    settings = {"monitoring": {"mode": "client", "port": 1}}
    says.text = json.dumps(
        {"features": ["exporter", "gnome", "monitoring", "plasma"], "settings": settings}
    )
    assert _states(run, "web1") == {
        "exporter": "applied",
        "gnome": "applied",
        "monitoring": "changed",
        "dashboard": "pending",
        "plasma": "to be removed",
    }
    lines = run("status", "web1").stdout.splitlines()
    assert lines[0] == "web1: tier standard"
    assert "  monitoring.port = 9100" in lines


def test_a_system_from_before_there_were_settings(run: Run, says: Says) -> None:
    """A host whose system says nothing of settings has neither these nor others for sure."""
    says.text = json.dumps({"features": ["exporter", "gnome", "monitoring", "dashboard"]})
    states = _states(run, "web1")
    assert states.pop("monitoring") == "unknown"
    assert set(states.values()) == {"applied"}


@pytest.mark.parametrize(
    ("text", "rc", "why"),
    [
        (None, 0, "no SSH connection"),
        ("", 1, "it has no /etc/fleet/host.json"),
        ("[", 0, "its /etc/fleet/host.json does not say which features it has"),
        ('{"features": [1]}', 0, "its /etc/fleet/host.json does not say which features it has"),
        ('{"features": ["a|[b](c)"]}', 0, "its /etc/fleet/host.json does not say which features"),
        (json.dumps({"features": ["a"] * 5000}), 0, "its /etc/fleet/host.json does not say which"),
    ],
)
def test_what_is_not_known_is_said(
    run: Run, says: Says, text: str | None, rc: int, why: str
) -> None:
    """Where a host does not say what it runs nothing is claimed, and the reason is given."""
    says.text, says.rc = text, rc
    assert set(_states(run, "web1").values()) == {"unknown"}
    assert f"what runs is not known: {why}" in run("status", "web1").stdout


def test_the_last_change_is_a_commit(root: Path, run: Run, says: Says) -> None:
    """Each feature has the commit of the line that gives it, or is said not to be committed."""
    hosts = root / "inventory/hosts.yaml"
    text = hosts.read_text().replace("tier: standard", "tier: minimal")
    hosts.write_text(text.replace("[dashboard]", "[dashboard, plasma]"))
    lines = run("status", "web1", "--offline").stdout.splitlines()
    (exporter,) = (line for line in lines if line.startswith("exporter"))
    (plasma,) = (line for line in lines if line.startswith("plasma"))
    assert exporter.endswith(": the fleet")
    assert plasma.endswith("not committed")


def test_what_the_machine_lacks_is_told(root: Path, run: Run, says: Says) -> None:
    """Needs are compared with facts; what the inventory says stands before them, and is shown."""
    fleet = load(root).fleet
    known = {
        "memory.installed": Fact(2 * GIB, "DMI"),
        "cpu.threads": Fact(2, "/proc/cpuinfo"),
        "gpu.vendors": Fact([], "/sys"),
    }
    facts = Facts("", datetime(2026, 1, 1, tzinfo=UTC), known)
    for name in ("web1", "web2"):
        cache.remember(state_folder(fleet), name, facts)
    told = run("status", "web1", "--offline").stdout
    assert "web1: tier standard; its machine carries minimal" in told
    assert "needs: a GPU 'any' needed (gnome); there: none (/sys)" in told
    assert "the nearest tier that fits is minimal" in told
    overridden = "hardware: memory.installed is 8.0 GiB (inventory); the machine said 2.0 GiB (DMI)"
    assert overridden in run("status", "web2", "--offline").stdout


def test_facts_of_another_machine_say_nothing_of_this_one(root: Path, run: Run) -> None:
    """What another machine lacks than the inventory means is not said of the host."""
    hosts = root / "inventory/hosts.yaml"
    mine = hosts.read_text().replace(
        "tier: standard", f"tier: standard\n    machine_id: {'a' * 32}"
    )
    hosts.write_text(mine)
    facts = Facts("b" * 32, datetime(2026, 1, 1, tzinfo=UTC), {"gpu.vendors": Fact([], "/sys")})
    cache.remember(state_folder(load(root).fleet), "web1", facts)
    told = run("status", "web1", "--offline").stdout
    assert "needs: a GPU 'any' needed (gnome); unknown: not asked" in told
    assert "there: none" not in run("disable", "dashboard", "web1", "--dry-run").stdout
