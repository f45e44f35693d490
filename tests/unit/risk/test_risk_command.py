"""``orchestrator risk``: terms with their points, for people and for scripts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from known_fleet import HOSTS, KnownFleet, system
from surfaces import BARE, OPEN, PLAIN

from orchestrator.cli import opening
from orchestrator.cli.main import orchestrator
from orchestrator.core.errors import StepError
from orchestrator.core.risk import Floor, Risk
from orchestrator.core.state import HostState
from orchestrator.core.store import OutPath
from orchestrator.core.values import replace
from orchestrator.host.setup import Answer, Setup
from orchestrator.nix import joint
from orchestrator.nix import verbs as nix
from orchestrator.nix.configuration import Configuration
from orchestrator.risk import assess, running
from orchestrator.risk.kept import Kept, System, keep
from orchestrator.risk.model import Surface


@pytest.fixture
def typed(fleet: KnownFleet, monkeypatch: pytest.MonkeyPatch) -> KnownFleet:
    """A fleet whose p620 opens a port and runs a service as root; razer does not evaluate."""

    async def evaluate(configuration: Configuration, _: str = "", **__: str) -> Surface:
        if configuration.host == "razer":
            raise StepError("attribute 'x' missing")
        return replace(PLAIN, firewall=OPEN, services={"web": BARE, "odd": None})

    async def only_the_system(*_: object, **__: object) -> None:
        """Evaluate nothing of both."""

    monkeypatch.setattr(joint, "evaluate_with", only_the_system)
    monkeypatch.setattr(assess, "evaluate", evaluate)
    monkeypatch.setattr(assess, "floors", lambda *_: (Floor("films", Risk.HIGH, "the \x1b[2Jnet"),))
    monkeypatch.setattr(nix, "require", lambda: None)
    monkeypatch.setattr(opening, "open_setup", lambda _: fleet.setup)
    return fleet


def run(*words: str) -> Result:
    """Type it."""
    return CliRunner().invoke(orchestrator, ("risk", *words), standalone_mode=False)


def test_each_term_is_shown_with_its_points_and_the_option_that_says_so(typed: KnownFleet) -> None:
    """The heaviest first, what is not known among them, and what a feature declares."""
    done = run("p620")
    assert done.return_value == 0, done
    head, declared, *lines = done.stdout.splitlines()
    assert head == "p620: risk high (25 points)"
    assert declared == "  declared high by feature films: the net"
    assert [" ".join(line.split()) for line in lines[1:]] == [
        "10 web runs as root without hardening systemd.services.web.serviceConfig",
        "10 not known: what systemd.services.odd says systemd.services.odd",
        "5 opens 8096/tcp to everybody networking.firewall.allowedTCPPorts",
    ]
    assert typed.evaluated == ["p620"]


def test_a_host_that_does_not_evaluate_is_said_and_the_others_are_shown(typed: KnownFleet) -> None:
    """The exit code is 1, and nothing is called safe."""
    done = run()
    assert done.return_value == 1
    assert "p620: risk high" in done.stdout
    assert "razer: risk not known: attribute 'x' missing" in done.stderr
    assert "razer" not in done.stdout


def test_a_script_gets_levels_and_terms(typed: KnownFleet) -> None:
    """A host whose risk is not known has no level, and an error."""
    found: dict[str, Any] = json.loads(run("--json").stdout)
    assert found["razer"]["level"] is None
    assert found["razer"]["error"]["message"] == "attribute 'x' missing"
    one = found["p620"]
    assert (one["level"], one["score"]) == ("high", 25)
    assert one["terms"][-1] == {
        "id": "port:tcp:8096",
        "what": "opens 8096/tcp to everybody",
        "weight": 5,
        "evidence": "networking.firewall.allowedTCPPorts",
        "known": True,
    }
    assert one["floors"][0]["risk"] == "high"


def answers(patch: pytest.MonkeyPatch, **said: HostState | StepError) -> None:
    """Have hosts say what they run."""

    async def asked(_: Setup, hosts: object, __: object) -> list[Answer[HostState]]:
        return [Answer(HOSTS[name], one, 0.1) for name, one in said.items()]

    patch.setattr(running, "ask_each", asked)


def state(out: OutPath | None) -> HostState:
    """A host that says what it runs, and nothing of who deployed it."""
    return HostState("1", out, out, out, out)


def test_what_hosts_run_is_recalled_or_said_not_to_be_known(
    typed: KnownFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that does not answer, or was deployed by others, is not guessed at."""
    keep(typed.setup.state, Kept(System(system("c").out), PLAIN))
    answers(monkeypatch, p620=state(system("c").out), razer=StepError("no SSH connection"))
    done = run("--running")
    assert done.return_value == 1
    assert done.stdout.startswith("p620: risk minimal (0 points)")
    assert "razer: risk not known: no SSH connection" in done.stderr
    answers(monkeypatch, p620=state(system("d").out), razer=state(None))
    done = run("--running")
    assert "p620: risk not known: nothing there says which commit" in done.stderr
    assert "razer: risk not known: it does not say what it runs" in done.stderr
    assert typed.evaluated == []
