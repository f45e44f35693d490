"""The example fleet's own secrets: on its hosts, verified there, managed, and refused elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pyrage
import pytest
from fleet_bench import HOSTS, Bench, Done, give_machine_id, sitting_on

pytestmark = pytest.mark.lab

SERVERS = ("p510", "dex5550")
HOST = "p510"
ADMIN = ("--identity", "secrets/open-keys/admin")
API = "status-api"
OWNERS = {"admin-password": "root", "status-token": API, "status-environment": "root"}
"""Each secret, and whose it is on a host."""


def plaintext(fleet: Bench, name: str) -> str:
    """What a secret holds, by the person's published key."""
    identity = pyrage.ssh.Identity.from_buffer((fleet.root / ADMIN[1]).read_bytes())
    return pyrage.decrypt((fleet.root / f"secrets/{name}.age").read_bytes(), [identity]).decode()


def on_host(fleet: Bench, host: str, name: str) -> tuple[str, str]:
    """A decrypted secret on a host: who may do what with it, and what it holds."""
    path = f"/run/agenix/{name}"
    said = fleet.on(host, f"stat -L -c %U:%G:%a {path} && cat {path}")
    assert said.rc == 0, said
    rights, _, content = said.out.partition("\n")
    return rights, content


def password(fleet: Bench, host: str) -> str:
    """The hash of admin's password, as the host has it."""
    return fleet.on(host, "getent shadow admin | cut -d : -f 2").out.strip()


def environment(fleet: Bench, host: str) -> dict[str, str]:
    """What the running service got from systemd."""
    command = f"tr '\\0' '\\n' < /proc/$(systemctl show -P MainPID {API})/environ"
    pairs = fleet.on(host, command).out.splitlines()
    return dict(pair.split("=", 1) for pair in pairs)


def test_each_host_has_its_secrets_and_nobody_elses(fleet: Bench) -> None:
    """Byte for byte, with owner and mode; the password is set, the service has its variables."""
    for host in HOSTS:
        mine = OWNERS if host in SERVERS else {"admin-password": "root"}
        there = fleet.on(host, "ls /run/agenix").out.split()
        assert sorted(there) == sorted(mine), host
        for name, owner in mine.items():
            assert on_host(fleet, host, name) == (f"{owner}:{owner}:400", plaintext(fleet, name))
        assert password(fleet, host) == plaintext(fleet, "admin-password")
    variables = dict(
        line.split("=", 1) for line in plaintext(fleet, "status-environment").splitlines()
    )
    assert variables
    for host in SERVERS:
        assert variables.items() <= environment(fleet, host).items()


@pytest.mark.parametrize(
    ("module", "check"),
    [
        ('age.secrets.status-token.owner = lib.mkForce "root";', "test_secrets_are_whose"),
        ('age.secrets.status-environment.mode = "0440";', "test_secrets_are_whose"),
        (
            f'systemd.services.{API}.serviceConfig.EnvironmentFile = lib.mkForce "-/none";',
            "test_nothing_is_said_without",
        ),
        (
            'users.users.admin.hashedPasswordFile = lib.mkForce "/etc/hostname";',
            "test_passwords_are_those",
        ),
    ],
    ids=["owner", "mode", "environment", "password"],
)
def test_verification_finds_a_secret_that_is_not_as_it_should_be(
    fleet: Bench, module: str, check: str
) -> None:
    """Another owner, mode, environment or password rolls the host back, and is named."""
    fleet.module(HOST, module)
    done = fleet.deploy(HOST)
    assert done.outcomes == {HOST: "rolled_back"}, done
    assert check in str(done.report["hosts"][HOST]), done
    fleet.reset()
    assert fleet.deploy(HOST).outcomes == {HOST: "unchanged"}


def test_the_commands_work_on_the_example(fleet: Bench) -> None:
    """Checked, listed, edited, rekeyed, deployed: a new value is on its host, in its service."""
    checked = fleet.run("secrets", "check", *ADMIN)
    assert (checked.rc, "3 checked, nothing is wrong" in checked.err + checked.out) == (0, True)
    readers = {one["path"]: one["hosts"] for one in status(fleet)}
    assert sorted(readers["secrets/admin-password.age"]) == sorted(HOSTS)
    assert sorted(readers["secrets/status-token.age"]) == sorted(SERVERS)

    edited = fleet.run("secrets", "edit", "status-environment", *ADMIN, stdin="STATUS_REALM=new\n")
    assert edited.rc == 0, edited
    rules = fleet.root / "secrets/secrets.nix"
    before = rules.read_text()
    rules.write_text(before.replace("[ admin ] ++ servers", "[ admin p620 ] ++ servers"))
    assert rules.read_text() != before
    wrong = [one["path"] for one in status(fleet) if one["findings"]]
    assert wrong == ["secrets/status-environment.age", "secrets/status-token.age"]
    rekeyed = fleet.run("secrets", "rekey", *ADMIN)
    assert rekeyed.rc == 0, rekeyed
    assert all("p620" in one["hosts"] for one in status(fleet))
    assert [one["path"] for one in status(fleet) if one["findings"]] == []

    variables = plaintext(fleet, "status-environment")
    assert variables == "STATUS_REALM=new\n"
    assert fleet.deploy(HOST, "--no-verify").outcomes == {HOST: "deployed"}
    assert on_host(fleet, HOST, "status-environment") == ("root:root:400", variables)
    assert environment(fleet, HOST)["STATUS_REALM"] == "new"


def status(fleet: Bench) -> list[dict[str, Any]]:
    """What ``secrets status`` says."""
    done = fleet.run("secrets", "status", "--json")
    assert done.rc == 0, done
    found: list[dict[str, Any]] = json.loads(done.out)
    return found


def name_by_file(fleet: Bench, host: str) -> None:
    """Have ``secrets.nix`` take a host's key from a file: its text does not have it any more."""
    rules = fleet.root / "secrets/secrets.nix"
    key = (fleet.root / f"secrets/open-keys/{host}.pub").read_text().strip()
    alias = f'builtins.head (builtins.split "\\n" (builtins.readFile ./open-keys/{host}.pub))'
    text = rules.read_text().replace(f'"{key}"', alias)
    assert key not in text
    assert alias in text
    rules.write_text(text)


def test_outside_the_lab_such_secrets_go_nowhere(fleet: Bench) -> None:
    """Refused before the copy: the file, the key, the host and the cure are named; so in a plan.

    The host is p510 of the lab; the deployer sits on it, and does not know that it is a lab's. An
    emergency is refused, too; who names the check goes past it, and that is recorded.
    """
    give_machine_id(fleet, HOST, fleet.state(HOST)["machine_id"])
    name_by_file(fleet, HOST)
    fleet.module(HOST, 'environment.etc."marker".text = "outside";')
    before = fleet.state(HOST)["running"]

    def typed(*arguments: str) -> Done:
        return sitting_on(fleet, HOST, *arguments, "--no-lab")

    for words in ((), ("--emergency", "the site is down")):
        done = typed("deploy", "--this-machine", *words, "--json")
        host = done.report["hosts"][HOST]
        assert (done.rc, host["outcome"], host["refused"]) == (4, "failed", True), done
        assert host["checks"] == ["secrets"]
        for name in OWNERS:
            assert f"secrets/{name}.age" in host["message"]
        for word in ("KEY-PUBLISHED", "root@p510", f"{HOST} would use it"):
            assert word in host["message"], word
        assert "orchestrator secrets rekey" in host["hint"]
        phases = {event.get("phase") for event in done.events}
        assert not phases & {"copy", "activate"}
        assert fleet.state(HOST)["running"] == before
    checked = typed("secrets", "check", "--json", HOST)
    found = {(one["id"], one["path"]) for one in json.loads(checked.out)}
    assert (checked.rc, found) == (
        1,
        {("KEY-PUBLISHED", f"secrets/{name}.age") for name in OWNERS},
    ), checked
    planned = typed("plan", "--this-machine")
    assert "preflight would refuse: KEY-PUBLISHED" in planned.out + planned.err, planned

    past = typed("deploy", "--this-machine", "--no-verify", "--json", "--skip-preflight", "secrets")
    assert past.outcomes == {HOST: "deployed"}, past
    assert "KEY-PUBLISHED" in str(past.report)
    assert fleet.on(HOST, "cat /etc/marker").out == "outside"
