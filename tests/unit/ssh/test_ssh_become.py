"""How a login becomes root: by sudo, by what goes by another name, and why it does not."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from orchestrator.core.errors import RefusedError
from orchestrator.core.host import Connect, Host
from orchestrator.core.process import CommandResult
from orchestrator.ssh.become import become_by, why_not
from orchestrator.ssh.local import LocalExecutor
from orchestrator.ssh.sudo import Sudo, SudoPassword

PROGRAM = """#!/bin/sh
# Notes its arguments; asks where it may not, or runs what stands behind its options.
printf '%s\\n' "$*" >> "$NOTES"
[ ! -e "$NOTES.asks" ] || { cat "$NOTES.asks" >&2; exit 1; }
while [ $# -gt 0 ]; do
  case $1 in --) shift; break ;; -*) shift ;; *) break ;; esac
done
exec "$@"
"""


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs on the path that stand in for those that become root; one is another user."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sudo", "sudo-rs", "doas", "run0", "dzdo"):
        (folder / name).write_text(PROGRAM)
        (folder / name).chmod(0o755)
    file = tmp_path / "notes"
    file.touch()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("NOTES", str(file))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return file


def executor(become: str, password: SudoPassword | None = None) -> LocalExecutor:
    """This machine, as a host whose login becomes root so."""
    return LocalExecutor(Host("h", "h", Connect("192.0.2.1", become=become)), password)


def cat(become: str, password: SudoPassword | None = None) -> CommandResult:
    """Give a command its input as root."""

    async def running() -> CommandResult:
        host = executor(become, password)
        return await host.run(("cat",), deadline=30, stdin=b"the input")

    return asyncio.run(running())


@pytest.mark.parametrize(
    ("become", "argvs"),
    [
        ("sudo", ["-n -k /bin/sh -c true", "-n -- cat"]),
        ("sudo-rs", ["-n -k /bin/sh -c true", "-n -- cat"]),
        ("doas", ["-n -- /bin/sh -c true", "-n -- cat"]),
        ("run0", ["--no-ask-password -- /bin/sh -c true", "--no-ask-password -- cat"]),
        ("dzdo -n", ["-n /bin/sh -c true", "-n cat"]),
    ],
)
def test_a_command_runs_by_the_program_that_the_inventory_names(
    notes: Path, become: str, argvs: list[str]
) -> None:
    """The program is run in the way that never asks, and the command reads its own input."""
    assert cat(become).stdout == b"the input"
    assert notes.read_text().splitlines() == argvs


@pytest.mark.parametrize(
    ("become", "words"),
    [
        ("doas", "doas: Authentication required"),
        ("run0", "Failed to start transient service unit: Interactive authentication required."),
    ],
)
def test_a_program_that_reads_no_password_is_sent_none(
    notes: Path, become: str, words: str
) -> None:
    """Where a password is taken at a terminal alone, none is sent; how to do without is said."""
    Path(f"{notes}.asks").write_text(f"{words}\n")
    with pytest.raises(RefusedError, match=f"{become} asks for a password, and takes none") as it:
        cat(become, SudoPassword("hunter2"))
    assert become_by(become).never in str(it.value.hint)
    assert len(notes.read_text().splitlines()) == 1


SAID = {
    "sh: 1: sudo: not found": ("sudo", 127, "sudo is not installed"),
    "bash: line 1: doas: command not found": ("doas", 127, "doas is not installed"),
    "sudo: sorry, you must have a tty to run sudo": ("sudo", 1, "wants a terminal (requiretty)"),
    "deploy is not in the sudoers file.": ("sudo", 1, "does not let deploy run"),
    "Sorry, user deploy may not run sudo on web1.": ("sudo", 1, "does not let deploy run"),
    "sudo: I'm sorry deploy. I'm afraid I can't do that": ("sudo-rs", 1, "does not let deploy run"),
    "doas: Operation not permitted": ("doas", 1, "does not let deploy run"),
    "doas: not installed setuid": ("doas", 1, "no setuid"),
    "sudo: /usr/bin/sudo must be owned by uid 0 and have the setuid bit set": (
        *("sudo", 1),
        "no setuid",
    ),
    'sudo: The "no new privileges" flag is set, which prevents sudo from running as root.': (
        *("sudo", 1),
        "no setuid",
    ),
    "Failed to start transient service unit: Access denied": ("run0", 1, "does not let deploy run"),
    "This account is currently not available.": ("sudo", 1, "no login shell"),
    "doas: doas is not enabled, /etc/doas.conf: No such file": ("doas", 1, "doas failed"),
}


@pytest.mark.parametrize("words", SAID)
def test_why_nobody_becomes_root_is_named(words: str) -> None:
    """Not installed, no terminal, no rule, no setuid: each is said, and none is a password."""
    name, rc, why = SAID[words]
    found = why_not(CommandResult(rc, b"", words.encode()), become_by(name), "deploy")
    assert found is not None
    assert why in found[0]


@pytest.mark.parametrize(
    "words",
    [
        "sudo: a password is required",
        "sudo: Ein Passwort ist notwendig",
        "sudo: interactive authentication is required",
        "",
    ],
)
def test_a_sudo_that_asks_is_told_from_one_that_fails(words: str) -> None:
    """A sudo that wants a password, in whichever language, is asked with one."""
    done = CommandResult(1, b"", words.encode())
    assert why_not(done, become_by("sudo"), "deploy") is None


@pytest.mark.parametrize(
    ("become", "command", "shell"),
    [
        ("sudo", ("sudo", "-p", "P", "--", "ls"), ("sudo", "-p", "P", "-i")),
        ("doas", ("doas", "--", "ls"), ("doas", "-s")),
        ("run0", ("run0", "--", "ls"), ("run0",)),
        ("dzdo -n", ("dzdo", "-n", "ls"), ("dzdo", "-n", "/bin/sh", "-l")),
    ],
)
def test_whoever_sits_at_a_terminal_is_asked_there(
    become: str, command: tuple[str, ...], shell: tuple[str, ...]
) -> None:
    """In a terminal the program may ask; without a command there is a shell of root's."""

    async def never(*_: object) -> CommandResult:
        raise AssertionError("nothing is found out before")

    sudo = Sudo(never, None, needed=True, by=become_by(become))
    assert asyncio.run(sudo.in_terminal(("ls",), "P")) == (command, None)
    assert asyncio.run(sudo.in_terminal((), "P")) == (shell, None)
