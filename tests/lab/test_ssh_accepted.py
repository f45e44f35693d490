"""Where ``ssh`` logs in to a real sshd, so do we; and what is said where nobody gets in."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_bench import Bench

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST = "dex5550"  # the deploy user's, with sudo


ACCEPTED = {
    "a key and a certificate that are not there": (
        "IdentityFile {folder}/missing\nCertificateFile {folder}/missing-cert.pub\n"
    ),
    "a file that is no key": "IdentityFile {folder}/known_hosts\n",
    "comments": "ConnectTimeout 30 # don't wait\nPort 22 # \"ssh\n",
    "a time with units": "ConnectTimeout 5m\nServerAliveInterval 1m\n",
    "a terminal": "RequestTTY force\nForkAfterAuthentication no\n",
    "conditions": 'Match final exec "test -n %h"\n  Compression yes\nMatch all\n',
    "a proxy command for the shell": (
        "Match host {address}\n"
        "  ProxyCommand $(echo ssh) -F {folder}/ssh_config.copy -W %h:%p {other}\n"
        "Match all\n"
    ),
}


@pytest.mark.parametrize("kind", ACCEPTED)
def test_where_ssh_logs_in_so_do_we(fleet: Bench, kind: str) -> None:
    """A real sshd lets in ``ssh`` and us with the very same file, whatever form it has."""
    folder = fleet.lab_folder
    config = folder / "ssh_config"
    before = config.read_text()
    copy = folder / "ssh_config.copy"
    copy.write_text(before)
    address, other = fleet.address(HOST), fleet.address("p620")
    lines = ACCEPTED[kind].format(folder=folder, address=address, other=other)
    try:
        config.write_text(f"{lines}\n{before}")
        theirs = fleet.on(HOST, "echo in")
        ours = fleet.run("host", "exec", HOST, "--", "echo", "in")
    finally:
        config.write_text(before)
        copy.unlink()
    assert "in" in theirs.out, theirs
    assert ours.rc == 0, ours
    assert "in" in ours.out


def test_hosts_may_be_known_by_a_command(fleet: Bench) -> None:
    """``KnownHostsCommand`` vouches for a real sshd's key, and revokes it as well."""
    folder = fleet.lab_folder
    config, known = folder / "ssh_config", folder / "known_hosts"
    before, lines = config.read_text(), known.read_text()
    said = folder / "said"
    line = next(one for one in lines.splitlines(keepends=True) if one.startswith(HOST))
    known.write_text("")
    try:
        config.write_text(f"KnownHostsCommand /bin/cat {said}\n{before}")
        said.write_text(line)
        taken = fleet.run("host", "exec", HOST, "--", "true")
        said.write_text(f"{line}@revoked {line}")
        revoked = fleet.run("host", "exec", HOST, "--", "true")
    finally:
        config.write_text(before)
        known.write_text(lines)
    assert taken.rc == 0, taken
    assert revoked.rc != 0
    assert "revoked" in revoked.err + revoked.out


@pytest.fixture
def agent(fleet: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """An agent with seven keys that no host takes, and then the lab's."""
    socket = tmp_path / "agent"
    process = subprocess.Popen(("ssh-agent", "-D", "-a", str(socket)), stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
    lab_key = fleet.lab_folder / "id_ed25519"
    for number in range(7):
        key = tmp_path / f"other{number}"
        made = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        subprocess.run(made, check=True)
        subprocess.run(("ssh-add", "-q", str(key)), check=True, env=environment)
    subprocess.run(("ssh-add", "-q", str(lab_key)), check=True, env=environment)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    yield fleet
    process.terminate()
    process.communicate()


def test_a_real_sshd_lets_in_the_key_that_was_named(agent: Bench, tmp_path: Path) -> None:
    """An encrypted key that the agent has is used first: sshd ends the connection after six."""
    config = agent.lab_folder / "ssh_config"
    before = config.read_text()
    locked = tmp_path / "locked"
    shutil.copy(agent.lab_folder / "id_ed25519", locked)
    changed = ("ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(locked))
    subprocess.run(changed, check=True)
    try:
        config.write_text(f"IdentityFile {locked}\nIdentitiesOnly no\n{before}")
        named = agent.run("host", "exec", HOST, "--", "true")
        config.write_text(f"IdentityFile none\nIdentitiesOnly no\n{_nameless(before)}")
        many = agent.run("host", "exec", HOST, "--", "true")
    finally:
        config.write_text(before)
    assert named.rc == 0, named
    assert many.rc != 0
    assert "too many keys were tried" in many.err + many.out


def _nameless(config: str) -> str:
    return "\n".join(line for line in config.split("\n") if "IdentityFile" not in line)


def test_a_jump_host_that_forbids_forwarding_is_named(fleet: Bench) -> None:
    """A real sshd with ``AllowTcpForwarding no`` is named, and the host is not said to be off."""
    config = fleet.lab_folder / "ssh_config"
    before = config.read_text()
    jump = fleet.address("p620")
    rule = "/etc/ssh/sshd_config.d/00-forbids.conf"
    forbid = f"echo 'AllowTcpForwarding no' > {rule}; systemctl reload ssh"
    assert fleet.on("p620", forbid).rc == 0
    try:
        config.write_text(f"Host {fleet.address(HOST)}\n  ProxyJump root@{jump}\n\n{before}")
        done = fleet.run("host", "exec", HOST, "--", "true")
    finally:
        config.write_text(before)
        fleet.on("p620", f"rm {rule}; systemctl reload ssh")
    assert done.rc != 0
    assert f"the jump host {jump} forbids forwarding" in done.err + done.out


def test_root_by_doas_deploys_as_by_sudo(fleet: Bench) -> None:
    """Without sudo on the host a real doas makes the deployer root; without its rule it is said."""
    hosts = fleet.root / "inventory/hosts.yaml"
    before = hosts.read_text()
    fleet.module(HOST, 'environment.etc."marker".text = "doas";')
    sudo = "/usr/bin/sudo"
    hide = f"mv {sudo} {sudo}.hidden; echo 'permit nopass deploy as root' > /etc/doas.conf"
    try:
        assert fleet.on(HOST, f"{hide}; chmod 600 /etc/doas.conf").rc == 0
        missing = fleet.run("host", "exec", HOST, "--sudo", "--", "id", "-u")
        user = f"  {HOST}:\n"
        hosts.write_text(before.replace(user, f"{user}    connect: {{become: doas}}\n"))
        done = fleet.deploy(HOST, "--no-verify")
        fleet.on(HOST, "echo 'permit nopass nobody' > /etc/doas.conf")
        without = fleet.run("host", "exec", HOST, "--sudo", "--", "id", "-u")
    finally:
        hosts.write_text(before)
        fleet.on(HOST, f"mv {sudo}.hidden {sudo}; rm /etc/doas.conf")
    assert "sudo is not installed" in missing.err + missing.out, missing
    assert done.outcomes == {HOST: "deployed"}, done
    assert "doas does not let deploy run" in without.err + without.out, without
