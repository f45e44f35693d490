"""The ways to a host: keys, jump hosts, sudo, and the machine one sits on."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_bench import ORCHESTRATOR, Bench, give_machine_id, on_terminal, sitting_on

from orchestrator.core.values import replace

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST = "dex5550"  # the deploy user's, with sudo
DEFAULT = "maxstartups 10:30:100"
"""Sshd's own: of those who have not logged in yet each may be refused from the eleventh on."""
PASSWORD = "a pass'word; with $ signs"


@pytest.fixture
def strangers(fleet: Bench) -> Iterator[Bench]:
    """The five hosts, to which nothing of the lab's own SSH settings is known."""
    folder = fleet.lab_folder
    known = folder / "known_hosts"
    before = known.read_text()
    known.write_text("")
    yield fleet
    known.write_text(before)


def test_an_unknown_host_key_is_refused_and_trusted_once_compared(strangers: Bench) -> None:
    """Unknown: refused with the command to trust it. A wrong fingerprint is not trusted."""
    refused = strangers.deploy("p620")
    assert refused.outcomes == {"p620": "failed"}
    host = refused.report["hosts"]["p620"]
    assert "host key" in host["message"]
    assert "orchestrator host trust p620" in host["hint"]

    nobody = strangers.run("host", "trust", "p620")
    assert nobody.rc == 2
    assert "no terminal" in nobody.err
    wrong = strangers.run("host", "trust", "p620", "--fingerprint", "SHA256:" + "A" * 43)
    assert wrong.rc == 4

    fingerprint = next(word for word in nobody.err.split() if word.startswith("SHA256:"))
    own = subprocess.run(
        ("ssh-keygen", "-lf", "-"),
        input=_host_key(strangers, "p620"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert fingerprint in own.stdout
    trusted = strangers.run("host", "trust", "p620", "--fingerprint", fingerprint)
    assert trusted.rc == 0, trusted
    assert strangers.deploy("p620").outcomes == {"p620": "unchanged"}
    again = strangers.run("host", "trust", "p620")
    assert again.rc == 0
    assert "known already" in again.err


def _host_key(fleet: Bench, name: str) -> str:
    keys = (fleet.lab_folder / "hosts" / name).rglob("ssh_host_ed25519_key.pub")
    return next(keys).read_text()


def test_another_key_than_the_known_one_is_refused(strangers: Bench) -> None:
    """A changed key is refused, and `host trust` does not replace the known one."""
    folder = strangers.lab_folder
    other = _host_key(strangers, "razer").split()[:2]
    address = strangers.address("p620")
    (folder / "known_hosts").write_text(f"{address} {' '.join(other)}\n")
    assert strangers.deploy("p620").outcomes == {"p620": "failed"}
    trust = strangers.run("host", "trust", "p620", "--fingerprint", "SHA256:" + "A" * 43)
    assert trust.rc == 4
    assert "ssh-keygen -R" in trust.err


@pytest.fixture
def asking(fleet: Bench) -> Iterator[Bench]:
    """A host whose sudo asks the deploy user for a password."""
    rule = "/etc/sudoers.d/zz-asks"
    setup = f"echo 'deploy ALL=(ALL) PASSWD: ALL' > {rule}; chpasswd"
    fleet.module(HOST, 'environment.etc."marker".text = "sudo";')
    done = fleet.command(str(ORCHESTRATOR), "lab", "ssh", HOST, setup, stdin=f"deploy:{PASSWORD}\n")
    assert done.rc == 0, done
    yield fleet
    assert fleet.on(HOST, f"rm {rule}; usermod -p '*' deploy").rc == 0


def test_sudo_that_asks_is_an_error_at_once_without_a_password(asking: Bench) -> None:
    """No terminal, no password: it fails at once, names the cure, and never waits."""
    done = asking.deploy(HOST)
    host = done.report["hosts"][HOST]
    assert (done.rc, host["outcome"], host["refused"]) == (4, "failed", True)
    assert "sudo asks for a password" in host["message"]
    assert "--ask-sudo-password" in host["hint"]
    no_terminal = asking.deploy(HOST, "--ask-sudo-password")
    assert no_terminal.rc == 2
    assert "terminal" in no_terminal.err


def test_a_sudo_password_is_asked_once_and_never_shown(asking: Bench) -> None:
    """With the password the host is deployed; it stands in no log, no argv, no record."""
    wrong = on_terminal(asking, "sudo password", "wrong", "deploy", HOST, "--ask-sudo-password")
    assert wrong.rc == 4
    assert "sudo refused the password" in wrong.out
    # Verification would rightly find that sudo asks.
    more = ("--ask-sudo-password", "--no-verify")
    done = on_terminal(asking, "sudo password", PASSWORD, "deploy", HOST, *more)
    assert done.rc == 0, done.out
    assert PASSWORD not in done.out
    runs = asking.home / "state"
    files = list(runs.rglob("runs/*/*"))
    # Of the deployments before, which were verified, there is JUnit XML as well.
    packed = {"events.jsonl.gz", "log.gz", "junit.xml"}
    others = {str(file): file.read_text() for file in files if file.name not in packed}
    assert not others
    leaks = [
        file
        for file in files
        for content in (file.read_bytes(),)
        if PASSWORD.encode() in (gzip.decompress(content) if file.suffix == ".gz" else content)
    ]
    assert leaks == []
    journal = asking.on(HOST, "journalctl --no-pager | cat; cat /var/lib/orchestrator/record")
    assert PASSWORD not in journal.out
    assert asking.on(HOST, "cat /etc/marker").out == "sudo"


FREES_SUDO = """
    system.activationScripts.free.text = ''
      echo 'deploy ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/zz-asks
      lock=/run/orchestrator/lock
      before=$(stat -c %y $lock)
      while [ -e $lock ] && [ "$(stat -c %y $lock)" = "$before" ]; do sleep 0.2; done
      find /root /run /tmp /var /etc -xdev -type f \
        -exec grep -lsF -f /root/needle {} + > /root/found || true
    '';
"""


def test_a_deployment_that_frees_sudo_leaves_the_password_in_no_file(asking: Bench) -> None:
    """The rules turn NOPASSWD in its midst, and the connection from before renews the lock."""
    asking.module(HOST, FREES_SUDO)
    needle = asking.run("lab", "ssh", HOST, "umask 077; cat > /root/needle", stdin=PASSWORD)
    assert needle.rc == 0, needle
    more = ("--ask-sudo-password", "--no-verify")
    done = on_terminal(asking, "sudo password", PASSWORD, "deploy", HOST, *more)
    found = asking.on(HOST, "cat /root/found; rm /root/found /root/needle")
    # The needle shows that it was looked for.
    assert found.out.split() == ["/root/needle"]
    assert done.rc == 0, done.out


def test_another_host_that_stands_in_for_one_is_sent_no_password(asking: Bench) -> None:
    """A compromised host at the address that a name leads to, its own key known for it by address.

    It is refused before the login, and never sees the sudo password.
    """
    known, config = (asking.lab_folder / name for name in ("known_hosts", "ssh_config"))
    before, lines = known.read_text(), config.read_text()
    address = asking.address(HOST)
    victim, own = (" ".join(_host_key(asking, name).split()[:2]) for name in ("p620", HOST))
    logins = "journalctl -u ssh --no-pager | grep -c 'Accepted publickey for deploy'"
    seen = asking.on(HOST, logins).out
    try:
        known.write_text(f"victim.example {victim}\n{HOST},{address} {own}\n")
        config.write_text(f"Host {address}\n  HostKeyAlias victim.example\n\n{lines}")
        more = ("--ask-sudo-password", "--no-verify")
        done = on_terminal(asking, f"sudo password for {HOST}", PASSWORD, "deploy", HOST, *more)
    finally:
        known.write_text(before)
        config.write_text(lines)
    assert done.rc != 0
    assert "another key is known for victim.example" in " ".join(done.out.split())
    assert asking.on(HOST, logins).out == seen


def test_only_hosts_that_were_named_are_sent_a_password(asking: Bench) -> None:
    """A host whose sudo asks, beside one that a password was asked for, is sent none."""
    options = ("--sudo-password-for", "razer", "--no-verify")
    hosts = asking.root / "inventory/hosts.yaml"
    before = hosts.read_text()
    hosts.write_text(before.replace("  razer:\n", "  razer:\n    connect: {user: deploy}\n"))
    try:
        done = on_terminal(asking, "sudo password for razer", PASSWORD, "deploy", HOST, *options)
    finally:
        hosts.write_text(before)
    assert done.rc == 4, done.out
    assert "no password was given for this host" in " ".join(done.out.split())


def test_a_host_behind_a_jump_host(fleet: Bench, tmp_path: Path) -> None:
    """A jump host is used by commands and the copy alike; where temporary files are matters not."""
    odd = tmp_path / ("100 % long? " * 10)
    odd.mkdir()
    fleet.module(HOST, 'environment.etc."marker".text = "jumped";')
    folder = fleet.lab_folder
    config = folder / "ssh_config"
    before = config.read_text()
    address = fleet.address(HOST)
    jump = fleet.address("p620")
    try:
        config.write_text(f"Host {address}\n  ProxyJump root@{jump}\n\n{before}")
        done = replace(fleet, more={"TMPDIR": str(odd)}).deploy(HOST)
        seen = fleet.on(HOST, "journalctl -u ssh --no-pager | grep Accepted")
    finally:
        config.write_text(before)
    assert done.outcomes == {HOST: "deployed"}, done
    assert f"Accepted publickey for deploy from {jump}" in seen.out


SIXTY = """
import os, sys
from pathlib import Path
from orchestrator.lab.network import enter, find_active
enter(find_active(Path.cwd()))
os.chdir(sys.argv[1])
os.environ["HOME"] = f"{sys.argv[1]}/home"
os.execv(sys.argv[2], sys.argv[2:])
"""
"""In a lab's network, a command on the fleet of another folder, whose hosts are not the lab's."""


@pytest.mark.parametrize("way", ["ProxyJump root@GATE", "ProxyCommand ssh -F FILE -W %h:%p GATE"])
def test_sixty_hosts_behind_one_jump_host_all_answer(five: Bench, tmp_path: Path, way: str) -> None:
    """Three times, by sshd's own ``MaxStartups``: the jump host's, and those of four hosts."""
    *targets, gate = (five.address(name) for name in ("razer", "samsung", "p510", HOST, "p620"))
    for host in ("p620", HOST):
        assert five.on(host, "sshd -T | grep ^maxstartups").out.strip() == DEFAULT
    names = [f"h{number}" for number in range(60)]
    inventory, config = tmp_path / "inventory", tmp_path / "home/.ssh/config"
    for folder in (inventory, config.parent):
        folder.mkdir(parents=True)
    # What they run is asked for with the same deadline, of 15 at each of the lab's hosts.
    entries = "defaults: {deadlines: {connect: 120s}}\nhosts:\n"
    (inventory / "hosts.yaml").write_text(entries + "".join(f"  {one}:\n" for one in names))
    (tmp_path / "flake.nix").write_text("{ outputs = _: { }; }\n")
    lines = [
        *(f"Host {one}\n HostName {targets[at % 4]}\n {way}" for at, one in enumerate(names)),
        f"Host *\n User root\n IdentityFile {five.lab_folder}/id_ed25519",
        f" UserKnownHostsFile {five.lab_folder}/known_hosts",
    ]
    config.write_text("\n".join(lines).replace("GATE", gate).replace("FILE", str(config)) + "\n")
    config.chmod(0o600)
    ping = (str(ORCHESTRATOR), "host", "ping", "--no-lab", "--json")
    for _ in range(3):
        done = five.command(sys.executable, "-c", SIXTY, str(tmp_path), *ping)
        assert done.rc == 0, done
        assert sorted(json.loads(done.out)) == sorted(names)


PAST = ("--no-lab", "--no-verify", "--skip-preflight", "secrets")
"""For a deployer who does not know that it is the lab's: the example's secrets are everybody's."""


def test_the_machine_one_sits_on_is_deployed_without_ssh(fleet: Bench) -> None:
    """Where the inventory's machine-id is this machine's, no SSH is spoken: sshd may be off."""
    name = "p510"
    fleet.module(name, 'environment.etc."marker".text = "here";')
    machine_id = fleet.state(name)["machine_id"]
    give_machine_id(fleet, name, machine_id)
    nowhere = fleet.run("deploy", "--this-machine")
    assert nowhere.rc == 2
    assert "which host this machine is" in nowhere.err

    done = sitting_on(fleet, name, "deploy", "--json", "--this-machine", *PAST)
    assert done.outcomes == {name: "deployed"}, done
    state = fleet.state(name)
    assert state["running"] == state["boot_default"] == done.report["hosts"][name]["out_path"]
    assert fleet.on(name, "cat /etc/marker").out == "here"


def test_another_machine_than_the_known_one_is_refused(fleet: Bench) -> None:
    """Another machine-id than the one that is known stops the host before anything is copied."""
    record = fleet.lab_folder / "lab.json"
    before = record.read_text()
    known = fleet.state("p510")["machine_id"]
    try:
        record.write_text(before.replace(known, "0" * 32))
        done = fleet.deploy("p510")
    finally:
        record.write_text(before)
    assert done.rc == 4
    host = done.report["hosts"]["p510"]
    assert host["refused"]
    assert "another machine" in host["message"]


def test_a_lab_that_is_gone_is_never_mistaken_for_the_real_fleet(fleet: Bench) -> None:
    """Without its lab's network a command stops; it does not go to the inventory's addresses."""
    record = fleet.lab_folder / "lab.json"
    before = record.read_text()
    try:
        gone = json.loads(before)
        gone["cgroup"] = f"/nowhere{gone['cgroup']}"
        record.write_text(json.dumps(gone))
        done = fleet.run("deploy")
    finally:
        record.write_text(before)
    assert done.rc == 1
    assert "orchestrator lab up" in done.err
    assert done.out == ""


def test_another_users_lab_is_never_mistaken_for_the_real_fleet(fleet: Bench) -> None:
    """Whose record of the lab is elsewhere is stopped: the real hosts are not meant."""
    stranger = replace(fleet, more={"XDG_STATE_HOME": str(fleet.home / "stranger")})
    done = stranger.run("deploy")
    assert done.rc == 1
    assert "another user's" in done.err
    assert "--no-lab" in done.err
    assert done.out == ""
