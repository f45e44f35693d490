"""What is said of a host that is not reached, or lets nobody in: the hint names what is wrong."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from orchestrator.core.errors import StepError, UnreachableError
from orchestrator.core.host import Connect, Deadlines, Host
from orchestrator.ssh.connect import connected
from orchestrator.ssh.said import forget
from orchestrator.ssh.settings import SshSettings

LOCAL = "127.0.0.1"


class Gate(asyncssh.SSHServer):
    """A server that lets anybody in, and what it says of forwarding."""

    def __init__(self, forwards: Callable[[], bool]) -> None:
        self._forwards = forwards

    def public_key_auth_supported(self) -> bool:
        """It takes keys."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Anybody's, but for a stranger's."""
        del key
        return username != "stranger"

    def connection_requested(self, *_: object) -> bool:
        """Pass a connection on, or not."""
        return self._forwards()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a key, without an agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(tmp_path / "id"))
    forget()
    return tmp_path


def fault(
    home: Path,
    connect: Callable[[int], Connect],
    config: str = "IdentityFile HOME/id\n",
    forwards: Callable[[], bool] = lambda: True,
    **server: object,
) -> StepError:
    """Connect beside a server; give what is said."""
    key = asyncssh.generate_private_key("ssh-ed25519")

    async def connecting() -> None:
        async with asyncssh.listen(
            LOCAL, 0, server_host_keys=[key], **{"server_factory": lambda: Gate(forwards), **server}
        ) as acceptor:
            port = acceptor.get_port()
            (home / "known").write_text(f"* {key.export_public_key().decode()}")
            text = f"UserKnownHostsFile {home}/known\n{config}".replace("PORT", str(port))
            (home / "config").write_text(text.replace("HOME", str(home)))
            host = Host("h", "h", connect(port), deadlines=Deadlines(connect=60))
            async with connected(host, SshSettings(config=str(home / "config"))):
                pass

    with pytest.raises(StepError) as caught:
        asyncio.run(connecting())
    return caught.value


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as found:
        found.bind((LOCAL, 0))
        return int(found.getsockname()[1])


def test_a_jump_host_that_forbids_forwarding_is_named(home: Path) -> None:
    """The target is not asked whether it is switched on: the jump host's settings are named."""

    def forbids() -> bool:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "no")

    error = fault(home, lambda port: Connect("db", "u", 22, f"{LOCAL}:{port}"), forwards=forbids)
    assert not isinstance(error, UnreachableError)
    assert error.message == f"the jump host {LOCAL} forbids forwarding to db"
    assert "AllowTcpForwarding" in str(error.hint)


def test_what_a_jump_host_says_of_the_target_is_said(home: Path) -> None:
    """Where the jump host gets no connection, its own words are said, and that it was reached."""
    closed = closed_port()
    error = fault(home, lambda port: Connect(LOCAL, "u", closed, f"{LOCAL}:{port}"))
    assert isinstance(error, UnreachableError)
    assert error.message.startswith(f"the jump host {LOCAL} has no connection to {LOCAL}: ")
    assert "the jump host is reached" in str(error.hint)


def test_a_port_on_which_nobody_listens_is_told_from_a_host_that_is_off(home: Path) -> None:
    """A refused connection is of a machine that is on: sshd and the port are named."""
    error = fault(home, lambda _: Connect(LOCAL, "u", closed_port()))
    assert "nothing listens on that port" in str(error.hint)


def test_a_name_that_nobody_knows_is_told_from_a_host_that_is_off(home: Path) -> None:
    """A name without an address is spelled wrong, or stands nowhere: the hint says where to."""
    error = fault(home, lambda _: Connect("nowhere.invalid", "u"))
    assert isinstance(error, UnreachableError)
    assert "name" in str(error.hint)
    assert "switched on" not in str(error.hint)


def test_without_any_key_that_is_what_is_said(home: Path) -> None:
    """Nobody looks into authorized_keys where there is no key to log in with."""
    error = fault(home, lambda port: Connect(LOCAL, "u", port), config="IdentityFile none\n")
    assert "there is no key to log in with" in str(error.hint)


def test_an_encrypted_key_that_no_agent_has_is_named(home: Path) -> None:
    """Where ssh would ask for a passphrase, the file and the command are said."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(home / "locked"), passphrase="secret")
    config = "IdentityFile HOME/locked\n"
    error = fault(home, lambda port: Connect(LOCAL, "u", port), config=config)
    assert f"ssh-add {home}/locked" in str(error.hint)


def test_a_key_that_the_host_does_not_take_is_looked_for_there(home: Path) -> None:
    """A key was tried and refused: authorized_keys of that user is named."""
    error = fault(home, lambda port: Connect(LOCAL, "stranger", port))
    assert "authorized_keys" in str(error.hint)


def test_algorithms_that_nobody_shares_are_named(home: Path) -> None:
    """No common cipher is no matter of a network: the options that decide it are named."""
    error = fault(
        home,
        lambda port: Connect(LOCAL, "u", port),
        config="Ciphers aes256-ctr\n",
        encryption_algs=["aes128-ctr"],
    )
    assert not isinstance(error, UnreachableError)
    assert "agree on no algorithm" in error.message
    assert "Ciphers" in str(error.hint)


def test_a_proxy_command_that_fails_is_the_hint(home: Path) -> None:
    """The command is said as it was run, with its tokens put in, to be tried by hand."""
    error = fault(home, lambda _: Connect("web", "u", 7), config="ProxyCommand false %h %p\n")
    assert error.hint == "ProxyCommand came to no session; by hand: exec false web 7"


def test_too_many_keys_are_told_from_a_host_that_is_off(home: Path) -> None:
    """A host that ends the connection after some keys is not off: how to name one is said."""

    class Strict(Gate):
        def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            del username, key
            raise asyncssh.DisconnectError(
                asyncssh.DISC_PROTOCOL_ERROR, "Too many authentication failures"
            )

    error = fault(
        home, lambda port: Connect(LOCAL, "u", port), server_factory=lambda: Strict(lambda: True)
    )
    assert not isinstance(error, UnreachableError)
    assert "too many keys were tried" in error.message
    assert "IdentitiesOnly" in str(error.hint)
