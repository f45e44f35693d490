"""What commands on secrets do with private keys and hostile names: no dump of it, no control."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.secrets.age import crypt, identities
from orchestrator.secrets.commands import manage, repository

_LIMITS = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (4096, resource.getrlimit(resource.RLIMIT_CORE)[1]))
from orchestrator.secrets.commands.repository import open_keyring
open_keyring((sys.argv[1],))
print(*resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_who_holds_a_private_key_leaves_no_core(tmp_path: Path) -> None:
    """A crash writes neither the key nor a plaintext to a disk."""
    key = tmp_path / "key"
    argv = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    subprocess.run(argv, check=True)
    limits = subprocess.run(
        (sys.executable, "-c", _LIMITS, str(key)), check=True, capture_output=True, text=True
    )
    assert limits.stdout.split() == ["0", "0"]


def test_names_do_not_control_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A secret's name with escape sequences of any kind controls no terminal."""
    manage.say("e\033]0;title\007vil\033[2J.age is made")
    assert capsys.readouterr().err == "evil.age is made\n"


def test_a_path_in_a_passphrases_prompt_does_not_either(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The prompt goes to the terminal without a detour."""
    asked: list[str] = []
    monkeypatch.setattr("getpass.getpass", lambda prompt: asked.append(prompt) or "")
    monkeypatch.setattr(repository, "_TERMINAL", tmp_path / "tty")
    (tmp_path / "tty").touch()
    assert repository.ask_passphrase("k\033]0;title\007ey", False) == ""
    assert asked == ["passphrase of key: "]


def test_the_way_to_try_a_passphrase_can_be_pasted(tmp_path: Path) -> None:
    """The command to try a passphrase is quoted, whatever the key file's name."""
    key = tmp_path / "my key"
    argv = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "right", "-f", str(key))
    subprocess.run(argv, check=True)
    (locked,) = identities.read(str(key))
    assert isinstance(locked, crypt.Locked)
    ring = crypt.Keyring((locked,), lambda _path, _again: "wrong")
    with pytest.raises(crypt.IdentityError) as caught:
        ring._unlock(locked)
    assert f"ssh-keygen -y -f '{key}'" in str(caught.value.hint)
