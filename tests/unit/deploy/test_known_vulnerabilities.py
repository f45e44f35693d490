"""``security vulnerabilities``: a deployment's difference, for people and for scripts."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from known_fleet import KnownFleet

from orchestrator.cli import opening
from orchestrator.cli.main import orchestrator
from orchestrator.core.host import Host
from orchestrator.core.risk import AcceptedFinding
from orchestrator.core.state import HostState
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.deploy import vulnerabilities
from orchestrator.host.setup import Setup
from orchestrator.nix import verbs as nix

WANTED = OutPath(f"/nix/store/{'w' * 32}-nixos-system")


def paths(*names: str) -> tuple[OutPath, ...]:
    """A closure."""
    return tuple(OutPath(f"/nix/store/{str(n) * 32}-{name}") for n, name in enumerate(names))


@pytest.fixture
def feed(fleet: KnownFleet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A host whose deployment mends curl and brings a nginx, and a feed that knows both."""

    async def build(_: Setup, __: Host) -> tuple[Evaluated, None]:
        return Evaluated(DrvPath(f"{WANTED.path}.drv"), WANTED), None

    async def ask(_: Setup, __: Host) -> tuple[HostState, tuple[OutPath, ...]]:
        return HostState("1", None, None, None, None), paths("curl-8.5.0")

    async def requisites(_: OutPath) -> tuple[OutPath, ...]:
        return paths("curl-8.7.1", "nginx-1.27.1", "nginx-1.27.1-doc")

    async def patches(found: list[OutPath]) -> dict[str, frozenset[str]]:
        assert [path.package[0] for path in found] == ["nginx", "nginx"]
        return {found[0].path: frozenset({"CVE-2024-2000.patch"})}

    monkeypatch.setattr(vulnerabilities, "build_wanted", build)
    monkeypatch.setattr(vulnerabilities, "ask_running_closure", ask)
    monkeypatch.setattr(vulnerabilities, "patches_of", patches)
    monkeypatch.setattr(nix, "requisites", requisites)
    monkeypatch.setattr(opening, "open_setup", lambda _: fleet.setup)
    events = {"curl": {"fixed": "8.6"}, "nginx": {"introduced": "1.27"}}
    said = [
        {
            "id": f"CVE-2024-{number}000",
            "summary": "a \x1b[2Jflaw",
            "affected": [
                {"package": {"name": name}, "ranges": [{"events": [{"introduced": "0"}, event]}]}
            ],
        }
        for number, (name, event) in enumerate(events.items(), 1)
    ]
    file = tmp_path / "feed.json"
    file.write_text(json.dumps(said))
    return file


def run(feed: Path, *words: str) -> Result:
    """Type it."""
    argv = ("security", "vulnerabilities", "p620", "--feed", str(feed), *words)
    return CliRunner().invoke(orchestrator, argv, standalone_mode=False)


def test_what_a_deployment_brings_is_exit_1(feed: Path) -> None:
    """A patch that one path of a package lacks is no evidence; no text controls a terminal."""
    done = run(feed)
    assert done.return_value == 1, done.output
    assert "p620: fixes 1, brings 1, leaves 0" in done.stdout
    assert "\x1b" not in done.stdout
    found = json.loads(run(feed, "--json").stdout)
    assert found["sentence"] == "fixes 1, brings 1, leaves 0"
    fates = {one["id"]: one["fate"] for one in found["vulnerabilities"]}
    assert fates == {"CVE-2024-1000": "fixes", "CVE-2024-2000": "brings"}


def test_what_is_accepted_is_exit_0(feed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An acceptance of the inventory counts here, too."""
    word = AcceptedFinding("cve:CVE-2024-2000 nginx", "behind a proxy", date(8000, 1, 1))
    monkeypatch.setattr(vulnerabilities, "accepted", lambda *_: word.reason)
    done = run(feed)
    assert done.return_value == 0
    assert "2 accepted" in done.stdout


def test_a_feed_that_is_none_is_a_usage_error(feed: Path) -> None:
    """Nothing is built or asked for half a file."""
    feed.write_text("{")
    done = run(feed)
    assert done.exception is not None
    assert "is no feed that can be read" in str(done.exception)
