"""This machine as a host: which one it is, and root through sudo."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from orchestrator.core import process
from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.host import Connect, Host
from orchestrator.core.process import CommandResult
from orchestrator.ssh import local
from orchestrator.ssh.local import LocalExecutor, is_this_machine, this_machine_id
from orchestrator.ssh.sudo import SudoPassword, sudo_argv

HOST = Host("p620", "p620", Connect("192.0.2.1"), machine_id="0123")
SECRET = "hunter2"

FAKE_SUDO = """#!/bin/sh
# As sudo: -n never asks, -S reads the password from standard input where the rules want one.
printf '%s\\n' "$*" >> "$SUDO_LOG"
if [ -e "$SUDO_LOG.free" ]; then :
elif [ "$1" = -n ]; then echo "sudo: a password is required" >&2; exit 1
else IFS= read -r given; [ "$given" = hunter2 ] || { echo "Sorry, try again." >&2; exit 1; }
fi
while [ $# -gt 0 ]; do
  case $1 in --) shift; break ;; -p) shift 2 ;; -*) shift ;; *) break ;; esac
done
[ "$1" != /bin/sh ] || { shift; set -- "${HOST_SH:-/bin/sh}" "$@"; }
exec "$@"
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a ``sudo`` on the path that notes its arguments here, and be another user than root."""
    folder, file = tmp_path / "bin", tmp_path / "sudo.log"
    folder.mkdir()
    (folder / "sudo").write_text(FAKE_SUDO)
    (folder / "sudo").chmod(0o755)
    file.touch()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("SUDO_LOG", str(file))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return file


def free(log: Path, so: bool = True) -> None:
    """Have sudo's rules ask for no password, or for one again."""
    rule = log.with_suffix(".log.free")
    rule.touch() if so else rule.unlink()


def cat(executor: LocalExecutor, times: int = 1, stdin: bytes = b"the input") -> CommandResult:
    """Give a command its input as root, and see what it reads."""

    async def running() -> CommandResult:
        for _ in range(times):
            done = await executor.run(("cat",), deadline=30, stdin=stdin)
        return done

    return asyncio.run(running())


def test_the_password_goes_to_sudo_alone(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command reads its own input; no command line, here or in sudo's log, has the password."""
    argvs: list[tuple[str, ...]] = []
    real = process.run

    async def noting(argv: tuple[str, ...], **options: object) -> CommandResult:
        argvs.append(tuple(argv))
        return await real(argv, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(process, "run", noting)
    assert cat(LocalExecutor(HOST, SudoPassword(SECRET))).stdout == b"the input"
    assert (argvs[-1][:6], argvs[-1][-1]) == (("sudo", "-k", "-S", "-p", "", "--"), "cat")
    assert SECRET not in str(argvs)
    assert SECRET not in log.read_text()


def test_without_need_the_password_goes_nowhere(log: Path) -> None:
    """Where sudo asks for none, it is not sent, and no command reads it as its input."""
    free(log)
    assert cat(LocalExecutor(HOST, SudoPassword(SECRET))).stdout == b"the input"
    assert cat(LocalExecutor(HOST)).stdout == b"the input"
    assert "-S" not in log.read_text()


def stream(executor: LocalExecutor, stdin: bytes) -> bytes:
    """Start a command as root, and see what it reads."""

    async def scene() -> bytes:
        async with executor.open(("cat",)) as opened:
            opened.stdin.write(stdin)
            opened.stdin.write_eof()
            return await opened.stdout.read(-1)

    return asyncio.run(scene())


BINARY = b"\n\\\0\xff \r\n" + bytes(range(256)) * 4096 + b"no newline"


@pytest.mark.parametrize("shell", ["dash", "bash"])
@pytest.mark.parametrize("stdin", [b"", b"\n", BINARY])
def test_a_sudo_that_asks_no_more_passes_the_password_to_no_command(
    shell: str, stdin: bytes, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rules turn NOPASSWD while a connection is open: each command reads its own input alone.

    The password that sudo leaves unread is taken away before the command begins, whichever shell
    the host has, and not a byte more.
    """
    monkeypatch.setenv("HOST_SH", shell)
    executor = LocalExecutor(HOST, SudoPassword(SECRET))
    for free_now in (None, True, False):
        if free_now is not None:
            free(log, free_now)
        done = cat(executor, stdin=stdin)
        assert (done.rc, done.stdout, done.stderr) == (0, stdin, b"")
        assert stream(executor, stdin) == stdin
    assert SECRET not in log.read_text()


def test_a_sudo_that_asks_again_is_given_the_password(log: Path) -> None:
    """A sudo that begins to ask after a roll-back is given the password, and commands go on."""
    executor = LocalExecutor(HOST, SudoPassword(SECRET))
    streaming = LocalExecutor(HOST, SudoPassword(SECRET))
    free(log)
    assert cat(executor).stdout == b"the input"
    assert stream(streaming, b"a stream") == b"a stream"
    free(log, so=False)
    done = cat(executor)
    assert (done.rc, done.stdout, done.stderr) == (0, b"the input", b"")
    assert stream(streaming, b"a stream") == b"a stream"


def test_a_sudo_that_asks_again_is_sent_a_wrong_password_once(log: Path) -> None:
    """Each command ends as sudo ended it, and the password is not tried over and over."""
    executor = LocalExecutor(HOST, SudoPassword("wrong"))
    free(log)
    cat(executor)
    free(log, so=False)
    done = cat(executor, times=3)
    assert (done.rc, done.err) == (1, "sudo: a password is required")
    assert log.read_text().count("-S") == 1


def test_a_command_that_fails_is_not_run_again(log: Path) -> None:
    """A command that fails is not run again, even if it prints what sudo would."""
    executor = LocalExecutor(HOST, SudoPassword(SECRET))
    free(log)
    claims = ("/bin/sh", "-c", "echo sudo: no >&2; exit 1")
    done = asyncio.run(executor.run(claims, deadline=30))
    assert (done.rc, done.err) == (1, "sudo: no")
    assert log.read_text().count("echo sudo: no") == 1


def test_the_command_to_repeat_by_hand_is_the_plain_one(log: Path) -> None:
    """The command to repeat by hand waits for no input that only a deployer could send."""
    executor = LocalExecutor(HOST, SudoPassword(SECRET))
    with pytest.raises(StepError, match="did not end") as caught:
        asyncio.run(executor.run(("sleep", "1000"), deadline=0.2))
    assert caught.value.command == "sudo -k -S -p '' -- sleep 1000"


def test_sudo_is_tried_once(log: Path) -> None:
    """Whether the password is right is found out once, and not with every command."""
    cat(LocalExecutor(HOST, SudoPassword(SECRET)), times=3)
    lines = log.read_text().splitlines()
    asked = ["-n -k /bin/sh -c true", "-k -S -p  -- /bin/sh -c true"]
    assert lines[:2] == asked
    assert [line.endswith(" cat") for line in lines[2:]] == [True] * 3


def test_a_wrong_password_is_told(log: Path) -> None:
    """No command runs, and sudo's own words are there."""
    with pytest.raises(StepError, match="refused the password") as caught:
        cat(LocalExecutor(HOST, SudoPassword("wrong")))
    assert caught.value.stderr == "Sorry, try again."
    assert "cat" not in log.read_text()


def test_a_wrong_password_is_sent_once(log: Path) -> None:
    """Later connections of the run do not try it again: what answers there may collect it."""
    password = SudoPassword("wrong")
    for _ in range(3):
        with pytest.raises(StepError, match="refused the password"):
            cat(LocalExecutor(HOST, password))
    assert log.read_text().count("-S") == 1


def test_a_password_that_is_wanted_and_not_given(log: Path) -> None:
    """The hint names the option that gives it."""
    with pytest.raises(StepError, match="sudo asks for a password") as caught:
        cat(LocalExecutor(HOST))
    assert caught.value.hint is not None
    assert "--ask-sudo-password" in caught.value.hint
    assert isinstance(caught.value, RefusedError)
    assert caught.value.checks == ("sudo",)


@pytest.mark.parametrize(
    "ends",
    [
        "echo 'sh: sudo: not found' >&2; exit 127",
        "echo 'sudo: /sw/bin/sudo must be owned by uid 0 and have the setuid bit set' >&2; exit 1",
    ],
)
def test_a_sudo_that_cannot_be_used_is_not_said_to_ask(log: Path, ends: str) -> None:
    """Where the PATH has none, or not NixOS's wrapper, a password would not help: none is sent."""
    sudo = log.with_name("bin") / "sudo"
    sudo.write_text(f'#!/bin/sh\necho "$@" >> "$SUDO_LOG"\n{ends}\n')
    for password in (None, SudoPassword(SECRET)):
        with pytest.raises(
            StepError, match=r"sudo (is not installed|cannot become root)"
        ) as caught:
            cat(LocalExecutor(HOST, password))
        assert "/run/wrappers/bin" in str(caught.value.hint)
        assert "sudo" in caught.value.stderr
    assert "-S" not in log.read_text()


def test_without_root_sudo_is_not_called(log: Path) -> None:
    """A command that needs no root runs as the user."""
    executor = LocalExecutor(HOST)
    assert asyncio.run(executor.run(("true",), deadline=30, root=False)).rc == 0
    assert executor.repeat(("a", "b c")) == "sudo a 'b c'"
    assert log.read_text() == ""


def test_root_needs_no_sudo(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is root runs commands without sudo, though a password was given."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    executor = LocalExecutor(HOST, SudoPassword(SECRET))
    assert cat(executor).stdout == b"the input"
    assert executor.repeat(("a", "b c")) == "a 'b c'"
    assert log.read_text() == ""


def test_a_stream_reads_what_it_is_given(log: Path) -> None:
    """An open command as root sees its own input and not the password."""

    async def scene() -> tuple[bytes, int | None]:
        executor = LocalExecutor(HOST, SudoPassword(SECRET))
        async with executor.open(("cat",)) as stream:
            stream.stdin.write(b"the input")
            stream.stdin.write_eof()
            read = await stream.stdout.read(1000)
            return read, await stream.wait()

    assert asyncio.run(scene()) == (b"the input", 0)


def test_the_store_is_this_machines() -> None:
    """The store of this machine is Nix's own default, ``auto``."""

    async def scene() -> str:
        async with LocalExecutor(HOST).nix_store() as store:
            return store

    assert asyncio.run(scene()) == "auto"


def test_sudo_never_waits_for_a_terminal() -> None:
    """Without a password it fails at once; with one it reads it, a cached ticket or not."""
    assert sudo_argv(("a",), None) == ("sudo", "-n", "--", "a")
    assert sudo_argv(("-a",), SudoPassword(SECRET)) == ("sudo", "-k", "-S", "-p", "", "--", "-a")


def test_a_password_does_not_show() -> None:
    """A sudo password is shown neither in a log nor in a traceback."""
    assert SECRET not in f"{SudoPassword(SECRET)!r} {SudoPassword(SECRET)}"


@pytest.mark.parametrize(
    ("content", "machine_id", "same"),
    [
        ("0123\n", "0123", True),
        ("0123\n", "9999", False),
        ("0123\n", None, False),
        ("", None, False),
        ("\n", "", False),
        (None, None, False),
        (None, "0123", False),
    ],
)
def test_only_the_machine_id_is_proof(
    content: str | None,
    machine_id: str | None,
    same: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A machine without one, or a host without one, is never taken for the other."""
    file = tmp_path / "machine-id"
    if content is not None:
        file.write_text(content)
    monkeypatch.setattr(local, "MACHINE_ID", file)
    host = Host("p620", "p620", Connect("localhost"), machine_id=machine_id)
    assert is_this_machine(host) is same
    assert this_machine_id() == (content.strip() or None if content is not None else None)
