"""What Fabric's runner does for us: keys that are typed, and sudo's question."""

from __future__ import annotations

import pytest

from orchestrator.ssh.runner import Escape, SudoPrompt


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
    """Sudo's question is the person's then."""
    assert list(SudoPrompt("ask: ", []).submit("ask: ")) == []
