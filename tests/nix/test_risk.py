"""The risk of real evaluations: the example fleet's, on the stand-in."""

from __future__ import annotations

import asyncio
import functools
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from nix_bench import Fleet

from orchestrator.changes.source import Source
from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.core.host import Host
from orchestrator.core.process import CommandResult
from orchestrator.core.risk import Assessment, Term
from orchestrator.core.state import HostState, Record
from orchestrator.core.store import Evaluated, OutPath
from orchestrator.host.setup import Answer, Setup
from orchestrator.inventory.load import load
from orchestrator.nix import verbs
from orchestrator.nix.asker import Quiet
from orchestrator.nix.configuration import Configuration
from orchestrator.nix.evaluation import Evaluations
from orchestrator.nix.flake import Flake
from orchestrator.nix.joint import Beside
from orchestrator.risk import running
from orchestrator.risk.assess import assess_hosts, assessment, beside
from orchestrator.risk.evaluate import evaluate
from orchestrator.risk.kept import System
from orchestrator.risk.plan import score
from orchestrator.ssh.settings import SshSettings


def setup_of(fleet: Fleet, state: Path) -> Setup:
    """A fleet as commands open it, its inputs replaced."""
    loaded = load(fleet.root).fleet
    flake = Flake.at(loaded.flake, loaded.root, fleet.inputs)
    return Setup(loaded, flake, SshSettings(), state)


def assessed(fleet: Fleet, state: Path, *names: str) -> dict[str, Assessment | StepError]:
    """Assess hosts, as `orchestrator risk` does."""
    setup = setup_of(fleet, state)
    return asyncio.run(assess_hosts(setup, [setup.fleet.hosts[name] for name in names]))


def terms(fleet: Fleet, host: str = "p510", specialisation: str = "") -> dict[str, Term]:
    """Evaluate a host, and give its terms by what they are."""
    flake = Flake.at(f"path:{fleet.root}", str(fleet.root), fleet.inputs)
    question = evaluate(Configuration(flake, host, host), specialisation)
    return {one.what: one for one in score.terms(asyncio.run(question))}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A fleet's state folder."""
    return tmp_path / "state"


def test_a_host_is_assessed_by_what_its_modules_evaluate_to(fleet: Fleet, state: Path) -> None:
    """What features and the template open is found, wherever it was said; later it is recalled."""
    found = assessed(fleet, state, "p510")["p510"]
    assert isinstance(found, Assessment)
    said = {term.what: term.evidence for term in found.terms}
    assert said["opens 8080/tcp to everybody"] == "networking.firewall.allowedTCPPorts"
    assert said["deploy becomes root without a password (sudo)"] == "security.sudo.extraRules"
    assert "admin is in wheel" in said
    assert [*(state / "risk").iterdir()]
    assert assessed(fleet, state, "p510")["p510"] == found


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What Nix was asked to evaluate: a verb for each time."""
    asked: list[str] = []
    run = process.run

    async def counted(argv: Sequence[str], **how: Any) -> CommandResult:
        verbs_asked = {"eval", "path-info"}.intersection(argv)
        asked.extend(verbs_asked if "metadata" not in argv else ())
        return await run(argv, **how)

    monkeypatch.setattr(process, "run", counted)
    return asked


def test_a_system_and_its_risk_are_one_evaluation(
    fleet: Fleet, state: Path, evaluations: list[str]
) -> None:
    """Nix evaluates a host once for both; the system and the terms are those of each by itself."""
    setup = setup_of(fleet, state)
    host = setup.fleet.hosts["p510"]

    async def both() -> tuple[Evaluated, Assessment]:
        async with Source(setup.flake) as source:
            wanted = functools.partial(beside, setup)
            asked = Evaluations(source, setup.fleet.limits, state, 1, wanted)
            found = await asked.evaluate(Quiet(host))
            return found, await assessment(setup, asked, Quiet(host), System(found.out))

    found, risk = asyncio.run(both())
    assert evaluations == ["eval"]
    assert found == asyncio.run(verbs.evaluate(setup.flake.of(host), "p510", deadline=120))
    assert Path(found.drv.path).exists()
    assert {one.what for one in risk.terms} == terms(fleet).keys()


@pytest.mark.parametrize("fails", ["system", "beside"])
def test_what_is_beside_a_system_fails_by_itself(
    fleet: Fleet, state: Path, evaluations: list[str], fails: str
) -> None:
    """What is wanted beside is no error of the system's; a system that fails is asked for once."""
    if fails == "system":
        fleet.module("p510", "{ ... }: { networking.hostName = { }.missing; }")
    setup = setup_of(fleet, state)
    host, taken = setup.fleet.hosts["p510"], []
    odd = Beside("config: { }.odd", lambda *said: taken.append(said))

    async def evaluated() -> Evaluated:
        async with Source(setup.flake) as source:
            runs = Evaluations(source, setup.fleet.limits, state, 1, lambda _: odd)
            return await runs.evaluate(Quiet(host))

    if fails == "beside":
        found = asyncio.run(evaluated())
        assert Path(found.drv.path).exists()
        assert evaluations == ["eval", "path-info"]
    else:
        with pytest.raises(StepError, match="evaluation failed: attribute 'missing'") as raised:
            asyncio.run(evaluated())
        assert "nix path-info --derivation" in str(raised.value.command)
        assert evaluations == ["eval"]
    assert taken == []


def test_a_host_that_does_not_evaluate_is_its_own_error(fleet: Fleet, state: Path) -> None:
    """An error of one host leaves the others assessed."""
    fleet.module("p510", '{ ... }: { networking.hostName = throw "no name"; }')
    found = assessed(fleet, state, "p510", "dex5550")
    assert isinstance(found["p510"], StepError)
    assert isinstance(found["dex5550"], Assessment)


MODULE = """{{ lib, pkgs, ... }}:
{{
  networking.firewall.allowedTCPPorts = [ 8096 ];
  systemd.services.plex = {{
    wantedBy = [ "multi-user.target" ];
    serviceConfig.ExecStart = "/bin/plex";
  }};
  {more}
}}
"""


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ("", "plex runs as root without hardening"),
        (
            "systemd.services.plex.serviceConfig.PrivateTmp = true;",
            "plex runs as root with little hardening (PrivateTmp)",
        ),
        (
            'systemd.services.odd.serviceConfig = { ExecStart = [ "" "/bin/odd" ]; };',
            "odd is a package's unit, which is not read",
        ),
        (
            "networking.firewall.interfaces.lan0.allowedUDPPortRanges = [ { from = 1; to = 9; } ];",
            "opens 1-9/udp on lan0",
        ),
        (
            'networking.firewall.extraCommands = "iptables -A nixos-fw -j ACCEPT # nixos-nat";',
            "has firewall rules of its own, which are not read",
        ),
        (
            'networking.firewall.interfaces.lan0 = throw "odd";',
            "not known: what networking.firewall says",
        ),
        (
            'networking.firewall.allowedUDPPorts = "all";',
            "not known: what networking.firewall says",
        ),
        (
            'systemd.services.odd.serviceConfig = { ExecStart = "/x"; User = throw "odd"; };',
            "not known: what systemd.services.odd says",
        ),
        (
            "nix.settings.trusted-users = [ (x: x) ];",
            "not known: what nix.settings says",
        ),
        (
            'nix.settings.extra-trusted-users = "ada bob";',
            "Nix trusts bob, who may become root",
        ),
        (
            'users.users.ada = { isNormalUser = true; hashedPassword = ""; };',
            "anybody may log in as ada: its password is empty",
        ),
        (
            'users.users.ada.extraGroups = [ "docker" ];',
            "ada is in docker, which is as good as root",
        ),
    ],
)
def test_what_a_module_says_is_a_term_and_hides_no_other(
    fleet: Fleet, more: str, found: str
) -> None:
    """What cannot be evaluated, or is of no type that NixOS has, is told as not known."""
    fleet.module("p510", MODULE.format(more=more))
    said = terms(fleet)
    assert found in said
    assert "opens 8096/tcp to everybody" in said or "networking.firewall says" in found


def test_a_part_that_stops_nix_leaves_the_others_known(fleet: Fleet) -> None:
    """An error that Nix cannot catch is told with its words, and each other part is read."""
    odd = "systemd.services.odd.serviceConfig.User = { }.missing;"
    fleet.module("p510", MODULE.format(more=odd))
    said = terms(fleet)
    (unread,) = (one for one in said.values() if one.id == "unread:services")
    assert "attribute 'missing' missing" in unread.what
    assert not unread.known
    assert "opens 8096/tcp to everybody" in said


def test_nothing_that_evaluates_is_an_error_and_no_host_without_risk(fleet: Fleet) -> None:
    """Where the configuration itself does not evaluate, nothing of it is known."""
    fleet.module("p510", "{ ... }: { imports = [ ./missing.nix ]; }")
    with pytest.raises(StepError, match="the risk of p510 is derived from does not evaluate"):
        terms(fleet)


def test_a_specialisation_is_assessed_by_its_own_configuration(fleet: Fleet) -> None:
    """Where the host is to run it, what it opens counts; else it does not."""
    gaming = "specialisation.gaming.configuration.networking.firewall.allowedUDPPorts = [ 27015 ];"
    fleet.module("p510", MODULE.format(more=gaming))
    assert "opens 27015/udp to everybody" not in terms(fleet)
    assert "opens 27015/udp to everybody" in terms(fleet, specialisation="gaming")


def test_no_password_and_no_key_is_in_the_answer(fleet: Fleet, state: Path) -> None:
    """What is kept says that there is a password, and not which."""
    people = (
        'users.users.ada = { isNormalUser = true; hashedPassword = "$6$salt$hash-of-hers"; '
        'openssh.authorizedKeys.keys = [ "ssh-ed25519 AAAAkeyofhers" ]; };'
    )
    fleet.module("p510", MODULE.format(more=people))
    assert isinstance(assessed(fleet, state, "p510")["p510"], Assessment)
    (kept,) = (state / "risk").iterdir()
    assert "ada" in kept.read_text()
    assert "of-hers" not in kept.read_text()
    assert "keyofhers" not in kept.read_text()


def answered(patch: pytest.MonkeyPatch, out: OutPath, revision: str) -> None:
    """Have the host say that it runs a system which was deployed from a commit."""
    record = Record(7, "me@here", revision, out, datetime(2024, 5, 6, tzinfo=UTC))
    state = HostState("1", out, out, out, out, record=record)

    async def asked(_: Setup, hosts: Sequence[Host], __: object) -> list[Answer[HostState]]:
        return [Answer(host, state, 0.1) for host in hosts]

    patch.setattr(running, "ask_each", asked)


def test_what_a_host_runs_is_evaluated_at_its_commit(
    fleet: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where the commit makes the very system that runs it counts, whatever is edited since."""
    fleet.module("p510", MODULE.format(more=""))
    git("init", "--quiet", folder=fleet.root)
    git("add", "--all", folder=fleet.root)
    git("commit", "--quiet", "--message", "a fleet", folder=fleet.root)
    commit = git("rev-parse", "HEAD", folder=fleet.root)
    setup = setup_of(fleet, state)
    flake = setup.flake.of(setup.fleet.hosts["p510"])
    out = asyncio.run(verbs.evaluate(flake, "p510", deadline=120)).out
    fleet.replace("hosts/p510/added.nix", "8096", "9999")

    def found() -> Assessment | StepError:
        return asyncio.run(running.assess_running(setup, [setup.fleet.hosts["p510"]]))["p510"]

    answered(monkeypatch, out, f"{commit}-dirty")
    assert "files that were not committed" in str(found())
    answered(monkeypatch, out, "0" * 40)
    assert "is no commit of" in str(found())
    answered(monkeypatch, OutPath("/nix/store/" + "a" * 32 + "-nixos-system-p510"), commit)
    assert f"its commit {commit[:10]} makes" in str(found())
    answered(monkeypatch, out, commit)
    assessed = found()
    assert isinstance(assessed, Assessment), assessed
    assert "opens 8096/tcp to everybody" in {one.what for one in assessed.terms}
    answered(monkeypatch, out, "unknown, and not asked for again")
    assert found() == assessed


def git(*words: str, folder: Path) -> str:
    """Run git as somebody."""
    who = ("-c", "user.name=me", "-c", "user.email=me@localhost")
    argv = ("git", "-C", str(folder), *who, *words)
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
