"""``catalogue enable | disable``: what is shown, what is written, and what is planned then."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from orchestrator.core.errors import UsageError
from orchestrator.core.plan import Goal
from orchestrator.core.run import DeployRequest
from orchestrator.deploy.commands import deploy
from orchestrator.host.setup import Setup
from orchestrator.inventory.load import load

Run = Callable[..., Result]
Asked = list[tuple[Setup, DeployRequest]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What is planned or deployed, which none of these tests does."""
    requests: Asked = []

    def run_request(setup: Setup, _: object, request: DeployRequest, **__: object) -> int:
        requests.append((setup, request))
        return 0

    monkeypatch.setattr(deploy, "run_request", run_request)
    return requests


def test_what_comes_with_a_feature_is_shown(run: Run, asked: Asked) -> None:
    """Before it is written: what is added and why, the risk, the needs, and the lines."""
    assert run("enable", "dashboard", "web2", "--dry-run").stdout.splitlines() == [
        "web2",
        "  + exporter  inventory/hosts.yaml:8 (required by monitoring, required by dashboard)",
        "  + monitoring  inventory/hosts.yaml:8 (required by dashboard)",
        "  + dashboard  inventory/hosts.yaml:8 (host web2)",
        '  monitoring.mode: - → "client"',
        "  monitoring.port: - → 9100",
        "  declared risk: none → moderate",
        "  risk of dashboard: moderate: it is seen from outside.",
        "    mitigation: a password",
        "  needs: not known: cpus (orchestrator host facts web2)",
        "--- a/inventory/hosts.yaml",
        "+++ b/inventory/hosts.yaml",
        "@@ -6,2 +6,3 @@",
        "   web2:",
        "     hardware: {memory: 8G}",
        "+    features: [dashboard]",
    ]
    assert asked == []


def test_a_dry_run_writes_nothing(root: Path, run: Run, asked: Asked) -> None:
    """With ``--dry-run`` every file is what it was, and nothing is planned."""
    (root / "inventory/fleet.json").write_text("{}")
    before = {file: file.read_bytes() for file in root.rglob("*.*") if file.is_file()}
    run("enable", "gnome", "web2", "--dry-run")
    assert {file: file.read_bytes() for file in root.rglob("*.*") if file.is_file()} == before
    assert asked == []


def test_it_is_written_and_planned(root: Path, run: Run, asked: Asked) -> None:
    """The inventory and ``fleet.json`` say it, and the plan is of the fleet as it is then."""
    done = run("enable", "monitoring", "web2", "--set", "port=9200", "--set", "tls.name=x")
    host = load(root).fleet.hosts["web2"]
    assert host.settings["monitoring"] == {"port": 9200, "mode": "client", "tls": {"name": "x"}}
    assert '"port": 9200' in (root / "inventory/fleet.json").read_text()
    ((setup, request),) = asked
    assert (request.selectors, request.plan_only, request.goal) == (("web2",), True, Goal.SWITCH)
    assert setup.fleet.hosts["web2"].features == ("exporter", "monitoring")
    assert "the way back: git restore inventory/hosts.yaml" in done.stderr
    assert "nothing is deployed yet: orchestrator deploy web2" in done.stderr


def test_git_restore_is_the_way_back(root: Path, run: Run, asked: Asked) -> None:
    """What it says of the way back is so; where more would be lost by it, that is said."""
    before = (root / "inventory/hosts.yaml").read_bytes()
    run("disable", "dashboard", "web1", "--later")
    told = run("enable", "silence", "web2", "--later").stderr
    assert "there were changes that are not committed" in told
    words = ("git", "-C", str(root), "restore", "inventory/hosts.yaml")
    subprocess.run(words, check=True, timeout=60)
    assert (root / "inventory/hosts.yaml").read_bytes() == before
    assert asked == []


def test_it_can_be_deployed_at_once(run: Run, asked: Asked) -> None:
    """With ``--deploy`` it is deployed, to the goal that is named."""
    run("disable", "dashboard", "web1", "--deploy", "--goal", "boot", "--skip-preflight", "needs")
    ((setup, request),) = asked
    assert (request.plan_only, request.goal) == (False, Goal.BOOT)
    assert request.skip_preflight == ("needs",)
    assert setup.fleet.hosts["web1"].features == ("exporter", "gnome")


def test_what_a_tier_gives_is_removed_at_the_host(root: Path, run: Run, asked: Asked) -> None:
    """Who turns off what a tier gives keeps the tier for the others."""
    run("disable", "gnome", "web1")
    text = (root / "inventory/hosts.yaml").read_text()
    assert "    # what it shows\n    features: {dashboard: {}, remove: [gnome]}\n" in text
    assert len(asked) == 1


def test_what_is_so_already_writes_nothing(root: Path, run: Run, asked: Asked) -> None:
    """Who turns on what is on is told so."""
    before = (root / "inventory/hosts.yaml").read_bytes()
    assert "the inventory says so already" in run("enable", "dashboard", "web1").stderr
    assert (root / "inventory/hosts.yaml").read_bytes() == before
    assert asked == []


def test_what_is_so_already_is_deployed_nevertheless(run: Run, asked: Asked) -> None:
    """Who turns on again with ``--deploy`` what a failed run turned on has it deployed."""
    assert run("enable", "dashboard", "web1", "--deploy").exit_code == 0
    ((_, request),) = asked
    assert not request.plan_only


@pytest.mark.parametrize("how", [(), ("--later",), ("--deploy",)])
def test_what_is_frozen_is_not_changed(
    root: Path, run: Run, asked: Asked, how: tuple[str, ...]
) -> None:
    """``--frozen`` keeps ``fleet.json``: the inventory is not changed under it, and is shown."""
    files = [root / "inventory/hosts.yaml", root / "inventory/fleet.json"]
    before = [file.read_bytes() for file in files]
    with pytest.raises(UsageError, match=r"fleet\.json would change .* nothing was written"):
        run("disable", "dashboard", "web1", "--frozen", *how)
    assert run("disable", "dashboard", "web1", "--frozen", "--dry-run").exit_code == 0
    assert [file.read_bytes() for file in files] == before
    assert asked == []


def test_a_conflict_is_refused_with_both_places(root: Path, run: Run, asked: Asked) -> None:
    """What conflicts is not written; the message names both features, and where they are from."""
    before = (root / "inventory/hosts.yaml").read_bytes()
    with pytest.raises(UsageError) as caught:
        run("enable", "silence", "web1")
    assert "conflicts with 'exporter'" in caught.value.message
    assert "the other is at inventory/catalogue.yaml:16" in caught.value.message
    assert (root / "inventory/hosts.yaml").read_bytes() == before
    assert asked == []


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("port", "expected KEY=VALUE"),
        ("=1", "expected KEY=VALUE"),
        ("port=yes", "'yes' (YAML 1.1 and 1.2 read it differently)"),
        ("port=[", "not YAML"),
        ("port=x", "expected a whole number"),
        ("prot=1", "did you mean 'port'?"),
    ],
)
def test_wrong_settings_are_refused(run: Run, asked: Asked, said: str, words: str) -> None:
    """A setting that is none, or not what its schema asks for, is told, and nothing is written."""
    with pytest.raises(UsageError) as caught:
        run("enable", "monitoring", "web2", "--set", said)
    assert words in caught.value.message
    assert asked == []


def test_a_setting_is_below_another(run: Run) -> None:
    """A setting cannot be said to be two things."""
    with pytest.raises(UsageError, match="tls is said to be something else already"):
        run("enable", "monitoring", "web2", "--set", "tls=1", "--set", "tls.name=x")


def test_the_ways_to_apply_it_exclude_each_other(run: Run) -> None:
    """Only one of a dry run, later and a deployment can be meant."""
    done = run("enable", "gnome", "web2", "--later", "--deploy")
    assert done.exit_code == 2
    assert "exclude each other" in done.stderr
