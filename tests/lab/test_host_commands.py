"""``host exec`` and ``host ssh`` on real sshd: terminals, sudo, signals, and whom they trust."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_bench import ORCHESTRATOR, Bench, example_fleet, in_lab, interrupt, on_terminal, until

pytestmark = pytest.mark.lab

ROOT, DEPLOY = "p620", "dex5550"
"""One that is logged in to as root, and one as a user who may use sudo."""

PASSWORD = "a pass'word; with $ signs"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Two hosts that are up."""
    bench = example_fleet(tmp_path_factory.mktemp("commands"))
    with in_lab(bench, ROOT, DEPLOY):
        yield bench


def said(lab: Bench, *words: str) -> dict[str, dict[str, Any]]:
    """Run ``host exec --json``, and give each host's object."""
    done = lab.run("host", "exec", "--json", *words)
    found = {one["host"]: one for one in map(json.loads, done.out.splitlines())}
    assert (done.rc == 0) == all(one["status"] == "succeeded" for one in found.values()), done
    return found


def test_a_command_runs_on_both_and_as_root_with_sudo(lab: Bench) -> None:
    """Each host's own output and code; ``--sudo`` makes the deploy user root."""
    plain = said(lab, ROOT, DEPLOY, "--", "id", "-un")
    assert {name: one["stdout"] for name, one in plain.items()} == {
        ROOT: "root\n",
        DEPLOY: "deploy\n",
    }
    root = said(lab, ROOT, DEPLOY, "--sudo", "--", "sh", "-c", "id -un; echo oh >&2; exit 3")
    for one in root.values():
        assert (one["stdout"], one["stderr"], one["exit_code"]) == ("root\n", "oh\n", 3)


def test_a_host_that_is_cut_off_is_unreachable_and_the_other_answers(lab: Bench) -> None:
    """The exit code is 1, and both are told apart."""
    assert lab.run("lab", "fault", ROOT, "partition").rc == 0
    try:
        found = said(lab, ROOT, DEPLOY, "--", "true")
        ssh = lab.run("host", "ssh", ROOT, "--", "true")
    finally:
        assert lab.run("lab", "fault", ROOT, "heal").rc == 0
    assert {name: one["status"] for name, one in found.items()} == {
        ROOT: "unreachable",
        DEPLOY: "succeeded",
    }
    assert ssh.rc == 255
    assert "no SSH connection" in ssh.err


@pytest.mark.parametrize("sudo", [(), ("--sudo",)], ids=["plain", "sudo"])
def test_ctrl_c_ends_the_command_on_its_hosts(lab: Bench, sudo: tuple[str, ...]) -> None:
    """Ctrl-C ends the command on its hosts, also what root runs for the deploy user."""
    process = lab.start("host", "exec", ROOT, DEPLOY, *sudo, "--", "sleep", "4321")

    def sleeps(host: str) -> bool:
        return lab.on(host, "pgrep -xf 'sleep 4321'").rc == 0

    until(lambda: sleeps(ROOT) and sleeps(DEPLOY))
    done = interrupt(process)
    assert done.rc == 130, done
    assert not sleeps(ROOT)
    assert not sleeps(DEPLOY)
    assert "2 interrupted" in done.err
    assert "may still run" not in done.err


def test_a_time_limit_ends_the_command(lab: Bench) -> None:
    """A command that meets its time limit is ended and said to be, with exit code 1."""
    found = said(lab, ROOT, "--timeout", "2s", "--", "sleep", "4322")
    assert found[ROOT]["status"] == "timed out"
    assert not found[ROOT]["may_still_run"]
    assert lab.on(ROOT, "pgrep -xf 'sleep 4322'").rc == 1


def test_streams_of_a_script_are_passed_on_as_they_are(lab: Bench) -> None:
    """Without a terminal: bytes in, bytes out, and the command's exit code."""
    data = "é\n\ttab\x1b[2J" * 10_000
    done = lab.run("host", "ssh", ROOT, "--", "cat", stdin=data)
    assert (done.rc, done.out) == (0, data)
    ended = lab.run("host", "ssh", ROOT, "--", "sh", "-c", "echo out; echo oh >&2; exit 9")
    assert (ended.rc, ended.out) == (9, "out\n")
    assert "oh" in ended.err
    assert lab.run("host", "ssh", ROOT, "--", "sh", "-c", "kill -9 $$").rc == 137
    shell = lab.run("host", "ssh", ROOT, stdin="echo from $0; exit 4\n")
    assert (shell.rc, shell.out.startswith("from")) == (4, True)


def test_a_command_without_its_mark_is_refused_with_the_right_line(lab: Bench) -> None:
    """What ssh would take and what is meant differ: it is said how it is typed."""
    done = lab.run("host", "ssh", ROOT, "ls", "/etc")
    assert done.rc == 2
    assert f"orchestrator host ssh {ROOT} -- ls /etc" in done.err
    assert lab.run("host", "exec", ROOT).rc == 2


class Terminal:
    """A terminal in which a person types, of a size that changes."""

    def __init__(self, lab: Bench, *arguments: str) -> None:
        pid, self.ends = pty.fork()
        if pid == 0:
            os.chdir(lab.root)
            os.execve(ORCHESTRATOR, (str(ORCHESTRATOR), *arguments), lab.environment)
        self.pid = pid
        self.said = b""
        self.resize(40, 111)
        self.before = termios.tcgetattr(self.ends)[:4]

    def resize(self, rows: int, columns: int) -> None:
        """Change its size; whoever runs in it hears of it."""
        fcntl.ioctl(self.ends, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        """Type."""
        os.write(self.ends, keys.encode())

    def until(self, text: str, seconds: float = 60) -> None:
        """Read until a text is there."""
        end = time.monotonic() + seconds
        while text.encode() not in self.said:
            assert time.monotonic() < end, self.said
            with contextlib.suppress(OSError):
                self.said += os.read(self.ends, 4096)

    def end(self) -> int:
        """Read to the end, and give the exit code."""
        with contextlib.suppress(OSError):
            while data := os.read(self.ends, 4096):
                self.said += data
        _, status = os.waitpid(self.pid, 0)
        os.close(self.ends)
        return os.waitstatus_to_exitcode(status)


def test_a_person_has_a_terminal_on_the_host(lab: Bench) -> None:
    """A person's terminal on the host has their size, their Ctrl-C and the shell's exit code."""
    terminal = Terminal(lab, "host", "ssh", ROOT)
    terminal.type("stty size; echo begun-$((40 + 2))\n")
    terminal.until("begun-42")
    assert b"40 111" in terminal.said
    terminal.resize(50, 120)
    terminal.type("stty size; echo resized-$((40 + 2))\n")
    terminal.until("resized-42")
    assert b"50 120" in terminal.said
    terminal.type("sleep 4323\n")
    until(lambda: lab.on(ROOT, "pgrep -xf 'sleep 4323'").rc == 0)
    terminal.type("\x03")
    terminal.type("echo alive-$((40 + 2)); tty\n")
    terminal.until("alive-42")
    terminal.type("exit 7\n")
    assert terminal.end() == 7
    assert b"/dev/pts/" in terminal.said


def test_a_terminal_is_left_as_it_was(lab: Bench) -> None:
    """A terminal is left as it was, also when ``~.`` leaves a host that hangs."""
    probe = Terminal(lab, "host", "ssh", ROOT, "--", "sleep", "4324")
    until(lambda: lab.on(ROOT, "pgrep -xf 'sleep 4324'").rc == 0)
    assert termios.tcgetattr(probe.ends)[:4] != probe.before
    probe.type("\r~.")
    _, status = os.waitpid(probe.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    assert termios.tcgetattr(probe.ends)[:4] == probe.before
    os.close(probe.ends)
    until(lambda: lab.on(ROOT, "pgrep -xf 'sleep 4324'").rc == 1)


@pytest.fixture
def asking(lab: Bench) -> Iterator[Bench]:
    """A host whose sudo asks the deploy user for a password."""
    rule = "/etc/sudoers.d/zz-asks"
    setup = f"echo 'deploy ALL=(ALL) PASSWD: ALL' > {rule}; chpasswd"
    done = lab.command(str(ORCHESTRATOR), "lab", "ssh", DEPLOY, setup, stdin=f"deploy:{PASSWORD}\n")
    assert done.rc == 0, done
    yield lab
    assert lab.on(DEPLOY, f"rm {rule}; usermod -p '*' deploy").rc == 0


def test_sudo_asks_the_person_in_the_terminal(asking: Bench) -> None:
    """Nothing is given beforehand: sudo's own question is shown, and what is typed is not."""
    prompt = f"sudo password for {DEPLOY}"
    done = on_terminal(asking, prompt, PASSWORD, "host", "ssh", "--sudo", DEPLOY, "--", "id", "-un")
    assert done.rc == 0, done.out
    assert "root" in done.out.split()
    assert PASSWORD not in done.out


def test_sudo_is_answered_in_the_terminal_with_the_password_that_was_given(asking: Bench) -> None:
    """Asked for once, before the connection; sudo's own question is answered by itself, unseen."""
    words = ("host", "ssh", "--sudo", "--ask-sudo-password", DEPLOY, "--", "id", "-un")
    done = on_terminal(asking, f"sudo password for {DEPLOY}", PASSWORD, *words)
    assert done.rc == 0, done.out
    assert "root" in done.out.split()
    assert PASSWORD not in done.out
    wrong = on_terminal(asking, f"sudo password for {DEPLOY}", "wrong", *words)
    assert wrong.rc == 255
    assert "sudo refused the password" in wrong.out


def test_exec_gives_sudo_the_password_and_the_command_none_of_it(asking: Bench) -> None:
    """On standard input, which the command does not see; without one it fails at once."""
    refused = said(asking, DEPLOY, "--sudo", "--", "true")[DEPLOY]
    assert refused["status"] == "failed"
    assert "sudo asks for a password" in refused["error"]["message"]
    assert not refused["may_still_run"]
    words = (
        "host",
        "exec",
        "--sudo",
        "--ask-sudo-password",
        DEPLOY,
        "--",
        "sh",
        "-c",
        "id -un; cat",
    )
    done = on_terminal(asking, "sudo password", PASSWORD, *words)
    assert done.rc == 0, done.out
    (line,) = (line for line in done.out.splitlines() if f"{DEPLOY} |" in line)
    assert line.endswith(" root")
    assert PASSWORD not in done.out


@pytest.fixture
def chatty(lab: Bench) -> Iterator[Bench]:
    """A host whose sshd notes the name of each client's program."""
    file = "/etc/ssh/sshd_config.d/zz-chatty.conf"
    loud = f"mkdir -p /etc/ssh/sshd_config.d; echo 'LogLevel DEBUG' > {file}"
    include = (
        "grep -q sshd_config.d /etc/ssh/sshd_config || echo LogLevel DEBUG >> /etc/ssh/sshd_config"
    )
    assert lab.on(ROOT, f"{loud}; {include}; systemctl reload ssh").rc == 0
    yield lab
    calm = f"rm {file}; sed -i '/^LogLevel DEBUG$/d' /etc/ssh/sshd_config; systemctl reload ssh"
    assert lab.on(ROOT, calm).rc == 0


def test_sshd_sees_no_client_but_our_own(chatty: Bench) -> None:
    """Neither paramiko's, which would trust anybody, nor an agent that is forwarded."""
    config = chatty.lab_folder / "ssh_config"
    before = config.read_text()
    mark = f"mark-{time.time_ns()}"
    assert chatty.on(ROOT, f"logger {mark}").rc == 0
    try:
        config.write_text(f"Host *\n  ForwardAgent yes\n\n{before}")
        assert chatty.run("host", "exec", ROOT, "--", "true").rc == 0
        shown = chatty.run("host", "ssh", ROOT, "--", "sh", "-c", "echo agent=$SSH_AUTH_SOCK")
    finally:
        config.write_text(before)
    assert shown.out == "agent=\n"
    log = chatty.on(ROOT, "journalctl --no-pager -n 400 | cat").out.rpartition(mark)[2]
    seen = [line for line in log.splitlines() if "remote software version" in line]
    ours = [line for line in seen if "AsyncSSH" in line]
    # The others are those by which this test looks: OpenSSH's.
    others = [line for line in seen if line not in ours and "OpenSSH" not in line]
    assert (len(ours), others) == (2, []), seen


def _key(lab: Bench, host: str) -> str:
    keys = (lab.lab_folder / "hosts" / host).rglob("ssh_host_ed25519_key.pub")
    return " ".join(next(keys).read_text().split()[:2])


def _known(lab: Bench, _: Path) -> str:
    return f"{lab.address(ROOT)} {_key(lab, ROOT)}\n"


def _unknown(lab: Bench, _: Path) -> str:
    return f"{lab.address(DEPLOY)} {_key(lab, ROOT)}\n"


def _changed(lab: Bench, _: Path) -> str:
    return f"{lab.address(ROOT)} {_key(lab, DEPLOY)}\n"


def _revoked(lab: Bench, folder: Path) -> str:
    return f"{_known(lab, folder)}@revoked * {_key(lab, ROOT)}\n"


def _authority(lab: Bench, folder: Path) -> str:
    subprocess.run(("ssh-keygen", "-qt", "ed25519", "-N", "", "-f", folder / "ca"), check=True)
    return f"@cert-authority {lab.address(ROOT)} {(folder / 'ca.pub').read_text()}"


Lines = Callable[[Bench, Path], str]


@pytest.mark.parametrize(
    ("lines", "trusted"),
    [(_known, True), (_unknown, False), (_changed, False), (_revoked, False), (_authority, False)],
    ids=["known", "unknown", "changed", "revoked", "authority"],
)
def test_both_commands_trust_whom_a_deployment_trusts(
    lab: Bench, tmp_path: Path, lines: Lines, trusted: bool
) -> None:
    """The same known hosts, the same answer; nothing is added, nothing runs on who is refused."""
    file = lab.lab_folder / "known_hosts"
    before = file.read_text()
    mark = f"/root/{tmp_path.name}"
    written = lines(lab, tmp_path)
    try:
        file.write_text(written)
        by_status = lab.run("status", ROOT).rc == 0
        by_exec = lab.run("host", "exec", ROOT, "--", "touch", mark).rc == 0
        by_ssh = lab.run("host", "ssh", ROOT, "--", "touch", mark).rc == 0
        after = file.read_text()
    finally:
        file.write_text(before)
    assert (by_status, by_exec, by_ssh) == (trusted,) * 3
    assert after == written
    assert (lab.on(ROOT, f"test -e {mark}").rc == 0) == trusted
