"""Secrets on a real host: decrypted at activation, and refused where the host could not do it."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyrage
import pytest
from fleet_bench import Bench, Done, example_fleet, in_lab

from orchestrator.lab import seed

pytestmark = pytest.mark.lab

HOST = "dex5550"  # the deploy user's, with sudo
KEY = "/etc/ssh/ssh_host_ed25519_key"
WIFI, TOKEN = "secrets/wifi.age", "secrets/token.age"

CONFIGURATION = """
services.openssh.enable = true;
age.secrets.wifi = {
  file = ../../secrets/wifi.age;
  owner = "admin";
  group = "wheel";
  mode = "0440";
};
age.secrets.token = {
  file = ../../secrets/token.age;
  path = "/etc/app/token";
};
"""

# What testinfra proves of the host.
SUITE = """
def test_secrets(host):
    wifi = host.file("/run/agenix/wifi")
    assert wifi.content_string == {wifi!r}
    assert (wifi.user, wifi.group, wifi.mode) == ("admin", "wheel", 0o440)
    token = host.file("/etc/app/token")
    assert token.is_symlink
    assert token.content_string == {token!r}
    token = host.file(token.linked_to)
    assert (token.user, token.group, token.mode) == ("root", "root", 0o400)
    assert host.mount_point("/run/agenix.d").filesystem == "ramfs"
"""

_values = itertools.count()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One host, up and deployed once without secrets."""
    bench = example_fleet(tmp_path_factory.mktemp("secrets"))
    forget_the_examples(bench)
    with in_lab(bench, HOST):
        first = bench.deploy(HOST)
        assert first.rc == 0, first
        yield bench


def forget_the_examples(fleet: Bench) -> None:
    """Take the example's own secrets, and what uses them, out of a fleet."""
    shutil.rmtree(fleet.root / "secrets")
    templates = fleet.root / "inventory/templates.yaml"
    before = templates.read_text()
    templates.write_text(before.replace(", status-api]", "]"))
    assert templates.read_text() != before
    assert fleet.run("inventory", "generate").rc == 0
    assert fleet.command("git", "commit", "--quiet", "--all", "--message", "none").rc == 0


@pytest.fixture
def fleet(lab: Bench) -> Iterator[Bench]:
    """A fleet whose host has two secrets, to be deployed."""
    key = host_key(lab)
    rules(lab, key)
    encrypt_both(lab, key)
    lab.write(".gitattributes", "*.age binary\n")
    lab.module(HOST, CONFIGURATION)
    yield lab
    lab.reset()


def host_key(fleet: Bench) -> str:
    """The host's public key, by the lab's own way."""
    return " ".join(fleet.on(HOST, f"cat {KEY}.pub").out.split()[:2])


def rules(fleet: Bench, key: str) -> None:
    """Write ``secrets.nix``: all secrets are for one key."""
    entries = "".join(f'"{path}".publicKeys = [ "{key}" ];\n' for path in (WIFI, TOKEN))
    fleet.write("secrets.nix", f"{{\n{entries}}}\n")


def encrypt(fleet: Bench, path: str, key: str) -> str:
    """Encrypt a new value; the value."""
    value, recipients = f"value {next(_values)}", [pyrage.ssh.Recipient.from_str(key)]
    data = b"\n"
    while data.endswith(b"\n"):  # one in 256 does by chance, and is warned of
        data = pyrage.encrypt(value.encode(), recipients)
    write(fleet, path, data)
    return value


def encrypt_both(fleet: Bench, key: str) -> None:
    """Encrypt new values of both secrets."""
    for path in (WIFI, TOKEN):
        encrypt(fleet, path, key)


def write(fleet: Bench, path: str, data: bytes) -> None:
    """Write an encrypted file, tracked."""
    file = fleet.root / path
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
    fleet.command("git", "add", "--intent-to-add", "--", path)


def deployed(fleet: Bench, *arguments: str) -> dict[str, Any]:
    """Deploy, which works."""
    done = fleet.deploy(HOST, *arguments)
    host: dict[str, Any] = done.report["hosts"][HOST]
    assert (done.rc, host["outcome"]) == (0, "deployed"), done
    return host


def refused(fleet: Bench, *arguments: str, copies: bool = False) -> dict[str, Any]:
    """Deploy, which refuses, and leaves the host as it was."""
    before = fleet.state(HOST)
    done = fleet.deploy(HOST, *arguments)
    host: dict[str, Any] = done.report["hosts"][HOST]
    assert (done.rc, host["outcome"], host["refused"]) == (4, "failed", True), done
    assert host["checks"] == ["secrets"]
    phases = {event.get("phase") for event in done.events}
    assert ("copy" in phases) is copies
    assert "activate" not in phases
    after = fleet.state(HOST)
    assert (after["running"], after["profile"]) == (before["running"], before["profile"])
    return host


def errors(done: Done) -> list[tuple[str, str | None, str]]:
    """The errors that ``secrets check`` found: id, host and path."""
    assert done.out, done
    found = json.loads(done.out)
    return [(one["id"], one["host"], one["path"]) for one in found if one["severity"] == "error"]


def test_secrets_are_on_the_host_as_the_configuration_says(fleet: Bench) -> None:
    """Content, owner, group and mode, proved by testinfra; a new value too, and after a boot."""
    token = encrypt(fleet, TOKEN, host_key(fleet))
    for _ in range(2):
        wifi = encrypt(fleet, WIFI, host_key(fleet))
        fleet.write(f"hosts/{HOST}/test_secrets.py", SUITE.format(wifi=wifi, token=token))
        host = deployed(fleet)
        assert not any("secrets" in text for text in host["warnings"]), host["warnings"]
    fleet.boot(HOST, "reboot")
    assert fleet.on(HOST, "cat /run/agenix/wifi /etc/app/token").out == wifi + token
    assert fleet.on(HOST, "ls /run/agenix.d").out.split() == ["1"]
    assert fleet.deploy(HOST).outcomes == {HOST: "unchanged"}


@contextmanager
def reinstalled(fleet: Bench, old: str) -> Iterator[str]:
    """Have the host another key for a while, which the lab's known_hosts vouches for; gives it."""
    known_hosts = fleet.lab_folder / "known_hosts"
    before = known_hosts.read_text()
    make = f"mkdir /root/key; mv {KEY}* /root/key; ssh-keygen -q -t ed25519 -N '' -f {KEY}"
    done = fleet.on(HOST, f"{make}; systemctl restart ssh; cat {KEY}.pub")
    new = " ".join(done.out.split()[:2])
    assert new.startswith("ssh-ed25519 ")
    assert new != old
    known_hosts.write_text(before.replace(old, new))
    try:
        yield new
    finally:
        back = "mv /root/key/* /etc/ssh; rmdir /root/key; systemctl restart ssh"
        assert fleet.on(HOST, back).rc == 0
        known_hosts.write_text(before)


def test_a_host_that_was_reinstalled(fleet: Bench) -> None:
    """A reinstalled host is refused before the copy, until it can read its secrets."""
    deployed(fleet)
    old = host_key(fleet)
    encrypt_both(fleet, old)
    with reinstalled(fleet, old) as new:
        host = refused(fleet)
        assert host["message"].count("HOST-KEY") == 1
        assert f"{TOKEN}, {WIFI}: {HOST} has another key" in host["message"]
        assert new in host["hint"]
        plan = fleet.run("plan", HOST)
        assert "preflight would refuse: HOST-KEY" in plan.err + plan.out, plan

        rules(fleet, new)
        assert "the file is not encrypted to it yet" in refused(fleet)["message"]
        encrypt_both(fleet, new)
        deployed(fleet)
    # What runs must be what the key opens that the host has from now on.
    rules(fleet, old)
    encrypt_both(fleet, old)
    deployed(fleet)


def test_a_file_that_only_a_trial_tells_of(fleet: Bench) -> None:
    """Right by its head, damaged behind it: refused once it is there, and before the switch."""
    file = fleet.root / WIFI
    data = file.read_bytes()
    write(fleet, WIFI, data[:-1] + bytes([data[-1] ^ 1]))
    host = refused(fleet, copies=True)
    assert f"HOST-PROBE: {WIFI}: {HOST} cannot decrypt it" in host["message"]
    assert "--skip-preflight secrets" in host["hint"]

    past = fleet.deploy(HOST, "--skip-preflight", "secrets")
    assert past.outcomes == {HOST: "rolled_back"}, past
    assert "HOST-PROBE" in past.err + past.out
    assert fleet.on(HOST, "sed -n s/^skipped=//p /var/lib/orchestrator/attempt").out.split() == [
        "secrets"
    ]
    write(fleet, WIFI, data)
    deployed(fleet)


def test_what_the_configuration_says_of_them(fleet: Bench) -> None:
    """A defect of a configuration refuses; in an emergency it is told."""
    fleet.module(HOST, CONFIGURATION.replace('owner = "admin"', 'owner = "nobodys"'))
    assert "CFG-OWNER" in refused(fleet)["message"]
    for _ in range(2):  # evaluated, then known
        checked = fleet.run("secrets", "check", "--json", HOST)
        assert (checked.rc, errors(checked)) == (1, [("CFG-OWNER", HOST, WIFI)]), checked
    alone = fleet.run("secrets", "check", "--json", "--no-configurations", HOST)
    assert (alone.rc, errors(alone)) == (0, []), alone
    leak = "{ config, ... }: builtins.readFile config.age.secrets.wifi.path"
    fleet.write("leak.nix", leak)
    leaks = fleet.run("secrets", "check", "--json", "--no-configurations")
    assert (leaks.rc, errors(leaks)) == (1, [("LEAK-READFILE", None, "leak.nix")]), leaks
    (fleet.root / "leak.nix").unlink()
    fleet.module(HOST, CONFIGURATION)
    fleet.write("secrets.nix", "{ }")
    assert "CFG-NORULE" in refused(fleet)["message"]
    done = fleet.run("deploy", "--emergency", "now", "--json", HOST)
    assert done.outcomes == {HOST: "deployed"}, done
    assert "CFG-NORULE" in str(done.report)
    fleet.write("secrets.nix", "{ ")
    encrypt(fleet, WIFI, host_key(fleet))
    assert "RULES-EVAL" in refused(fleet)["message"]
    back = fleet.run("rollback", "--json", HOST)
    assert back.outcomes == {HOST: "deployed"}, back  # whatever is wrong with today's files


def test_placeholders_stand_for_secrets_that_no_key_of_the_lab_opens(fleet: Bench) -> None:
    """What is encrypted to another machine is refused; in a lab of placeholders it is deployed."""
    other = seed.generate().public
    rules(fleet, other)
    encrypt_both(fleet, other)
    refused = fleet.deploy(HOST)
    assert refused.outcomes == {HOST: "failed"}, refused
    try:
        assert fleet.run("lab", "up", HOST, "--secrets", "placeholder", seconds=300).rc == 0
        done = fleet.deploy(HOST)
        assert done.outcomes == {HOST: "deployed"}, done
        warnings = done.report["hosts"][HOST]["warnings"]
        assert any("placeholders for the fleet's secrets" in text for text in warnings), warnings
        assert fleet.on(HOST, "cat /run/agenix/wifi").out == "PLACEHOLDER=wifi\n"
        assert fleet.on(HOST, "cat /etc/app/token").out == "PLACEHOLDER=token\n"
        assert fleet.on(HOST, "stat -c '%U %G %a' /run/agenix/wifi").out == "admin wheel 440\n"
    finally:
        assert fleet.run("lab", "up", HOST, "--secrets", "own", seconds=300).rc == 0
    assert fleet.deploy(HOST).outcomes == {HOST: "failed"}
