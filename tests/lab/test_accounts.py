"""A system that would not let its deployer in again is refused before it is activated."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from fleet_bench import Bench, example_fleet, in_lab

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST = "dex5550"  # the deploy user's, with sudo
ELSEWHERE = 'users.users.deploy.home = lib.mkForce "/var/lib/elsewhere";'
SHUT = {
    ELSEWHERE: "is not in /var/lib/elsewhere/.ssh/authorized_keys",
    'users.users.deploy = { useDefaultShell = lib.mkForce false; shell = "/usr/sbin/nologin"; };': (
        "the login shell of user 'deploy' will be /usr/sbin/nologin"
    ),
    "services.openssh.ports = [ 2222 ];": ":2222, and no more on",
    'services.openssh.settings.DenyUsers = [ "deploy" ];': "user 'deploy' not in (DenyUsers)",
    'services.openssh.settings.AllowUsers = [ "ops" ];': "only ops in (AllowUsers)",
    'services.openssh.settings.AllowGroups = [ "ops" ];': "only members of ops in (AllowGroups)",
    # Its rules are the lab's own file, which the system has a word on now, and the template's.
    """environment.etc."sudoers.d/lab" = { text = "# none"; mode = "0440"; };
       security.sudo.extraRules = lib.mkForce [ ];""": "no rule of its sudo is for user 'deploy'",
    "services.openssh.settings.PubkeyAuthentication = false;": "PubkeyAuthentication no",
    'services.openssh.extraConfig = "Match User deploy\\n  PubkeyAuthentication no";': (
        "PubkeyAuthentication no"
    ),
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One host, up and deployed once."""
    bench = example_fleet(tmp_path_factory.mktemp("accounts"))
    with in_lab(bench, HOST):
        first = bench.deploy(HOST)
        assert first.rc == 0, first
        yield bench


@pytest.fixture
def fleet(lab: Bench) -> Iterator[Bench]:
    """The host, as the example has it."""
    lab.reset()
    yield lab
    lab.reset()


def systems(fleet: Bench) -> tuple[str, ...]:
    """What the host runs, its profile, and what it boots."""
    state = fleet.state(HOST)
    return state["running"], state["profile"], state["boot_default"]


def key(fleet: Bench) -> str:
    """The key that the lab's deployer comes with."""
    return fleet.on(HOST, "cat /var/lib/deploy/.ssh/authorized_keys").out.strip()


@pytest.mark.parametrize("module", SHUT)
def test_whoever_would_be_shut_out_is_told_before(fleet: Bench, module: str) -> None:
    """Nothing is activated, and the refusal names what would shut this deployer out."""
    fleet.module(HOST, module)
    before = systems(fleet)
    done = fleet.deploy(HOST)
    host = done.report["hosts"][HOST]
    assert (done.rc, host["outcome"], host["refused"]) == (4, "failed", True), done
    assert host["checks"] == ["accounts"]
    assert SHUT[module] in host["message"]
    assert "activate" not in {event.get("phase") for event in done.events}, done
    assert systems(fleet) == before


def test_what_was_skipped_is_still_the_guards_to_undo(fleet: Bench) -> None:
    """Past the check the system is activated, nobody gets in, and the guard rolls it back."""
    fleet.module(HOST, ELSEWHERE)
    before = systems(fleet)
    done = fleet.deploy(HOST, "--skip-preflight", "accounts")
    host = done.report["hosts"][HOST]
    assert host["outcome"] == "rolled_back", done
    assert systems(fleet) == before


def test_a_key_that_the_next_system_declares_is_let_in(fleet: Bench) -> None:
    """The home moves, the key is declared: it is deployed without a word about accounts."""
    keys = f"users.users.deploy.openssh.authorizedKeys.keys = [ {json.dumps(key(fleet))} ];"
    fleet.module(HOST, f"{ELSEWHERE} {keys}")
    done = fleet.deploy(HOST)
    host = done.report["hosts"][HOST]
    assert (done.rc, host["outcome"]) == (0, "deployed"), done
    assert not any("accounts" in text for text in host["warnings"]), host
    entry = fleet.on(HOST, "getent passwd deploy").out.split(":")
    assert entry[5] == "/var/lib/elsewhere"
