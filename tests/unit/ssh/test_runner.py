"""What Fabric's runner does for us: keys that are typed, and sudo's question."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from orchestrator.core.errors import RefusedError
from orchestrator.core.process import CommandResult
from orchestrator.ssh.runner import Escape, SudoPrompt
from orchestrator.ssh.sudo import Sudo, SudoPassword


def typed(*pieces: bytes) -> tuple[bytes, bool]:
    """Type pieces; give what is passed on, and whether the person left."""
    escape = Escape()
    passed = b"".join(escape.passed(piece) for piece in pieces)
    return passed, escape.left


@pytest.mark.parametrize(
    ("pieces", "passed", "left"),
    [
        ((b"ls\r",), b"ls\r", False),
        ((b"~.",), b"", True),
        ((b"ls\r", b"~", b"."), b"ls\r", True),
        ((b"ls ~.",), b"ls ~.", False),
        ((b"\r~~.\r",), b"\r~.\r", False),
        ((b"~/bin\r",), b"~/bin\r", False),
        ((b"\r~x.",), b"\r~x.", False),
        (("é\r~é".encode(),), "é\r~é".encode(), False),
    ],
)
def test_a_tilde_and_a_dot_at_a_lines_start_leave(
    pieces: tuple[bytes, ...], passed: bytes, left: bool
) -> None:
    """As with ssh(1); a tilde anywhere else is one, and two at a line's start are one."""
    assert typed(*pieces) == (passed, left)


def test_sudo_is_answered_once_and_nobody_else() -> None:
    """The question that only sudo was given; asked again, the person types."""
    prompt = SudoPrompt("sudo password for web1 (5f3a): ", ["hunter2"])
    assert list(prompt.submit("[sudo] password for deploy: ")) == []
    assert list(prompt.submit("lecture\nsudo password for web1 (5f3a): ")) == ["hunter2\n"]
    assert list(prompt.submit("sudo password for web1 (5f3a): " * 2)) == []


def test_without_a_password_nothing_is_answered() -> None:
    """Without a password sudo's question is left to the person, and nothing is answered."""
    assert list(SudoPrompt("ask: ", []).submit("ask: ")) == []


def in_terminal(
    *argv: str, needed: bool = True, asks: bool = True, allowed: bool = True, given: bool = True
) -> tuple[Sequence[str], SudoPassword | None]:
    """What is run as root in a terminal, and what sudo is answered."""

    async def plain(command: Sequence[str], stdin: bytes) -> CommandResult:
        right = not asks or stdin == b"hunter2\n"
        return CommandResult(0 if right else 1, b"", b"")

    password = SudoPassword("hunter2") if given else None
    sudo = Sudo(plain, password, needed=needed, allowed=allowed)
    return asyncio.run(sudo.in_terminal(argv, "ask: "))


def test_root_in_a_terminal_is_sudo_that_asks_there() -> None:
    """Without a command a login shell; whoever is root needs no sudo."""
    assert in_terminal("id", given=False) == (("sudo", "-p", "ask: ", "--", "id"), None)
    assert in_terminal(given=False) == (("sudo", "-p", "ask: ", "-i"), None)
    assert in_terminal("id", needed=False) == (("id",), None)


def test_a_password_that_was_given_answers_only_a_sudo_that_asks() -> None:
    """A password answers only a sudo that asks, and is typed into nothing else."""
    argv, password = in_terminal("id")
    assert argv == ("sudo", "-k", "-p", "ask: ", "--", "id")
    assert password is not None
    assert in_terminal("id", asks=False) == (("sudo", "-n", "--", "id"), None)


def test_where_sudo_must_not_be_used_there_is_no_terminal_either() -> None:
    """The inventory's ``sudo: false`` holds for a person, too."""
    with pytest.raises(RefusedError, match="sudo: false"):
        in_terminal("id", allowed=False, given=False)
