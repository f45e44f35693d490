"""SSH settings: what is trusted, which hops there are, what a person would type."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.errors import UsageError
from orchestrator.core.host import Connect
from orchestrator.ssh.connect import parse_jump, ssh_argv, ssh_command
from orchestrator.ssh.settings import SshSettings


def test_no_known_hosts_means_nothing_is_trusted(tmp_path: Path) -> None:
    """``UserKnownHostsFile none`` leaves no file, and no key, to trust; nor does a missing one."""
    assert SshSettings().known_hosts_files(()) == []
    assert (
        SshSettings(known_hosts=str(tmp_path / "missing")).known_hosts_files(["/etc/hosts"]) == []
    )
    assert SshSettings().known_hosts_files(["/dev/null"]) == []


def test_a_file_that_is_given_stands_for_all(tmp_path: Path) -> None:
    """Settings go before ``ssh_config``; of the files those count that exist."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.touch()
    configured = [str(one), str(two)]
    assert SshSettings().known_hosts_files(configured) == [str(one)]
    two.touch()
    assert SshSettings(known_hosts=str(two)).known_hosts_files(configured) == [str(two)]


def test_an_address_can_be_put_in() -> None:
    """The lab's address replaces the whole way to a host, and no other host's."""
    settings = SshSettings(addresses=(("p620", "10.0.0.1"),))
    real = Connect("p620.example", "deploy", 2222, "bastion", "/key", sudo=False)
    assert settings.connect_for("p620", real) == Connect("10.0.0.1", "deploy", sudo=False)
    assert settings.connect_for("razer", real) == real


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bastion", Connect("bastion")),
        ("me@bastion", Connect("bastion", "me")),
        ("bastion:22", Connect("bastion", port=22)),
        (" me@bastion:2222 ", Connect("bastion", "me", 2222)),
        ("me@corp@bastion", Connect("bastion", "me@corp")),
        ("[2001:db8::1]", Connect("2001:db8::1")),
        ("me@[2001:db8::1]:22", Connect("2001:db8::1", "me", 22)),
    ],
)
def test_a_jump_host_is_read(text: str, expected: Connect) -> None:
    """A jump host is read as ``[user@]host[:port]``, with IPv6 in brackets."""
    assert parse_jump(text) == expected


@pytest.mark.parametrize("text", ["bastion:ssh", "bastion:-1", "bastion:2 2"])
def test_a_jump_hosts_port_is_a_number(text: str) -> None:
    """Anything else is a mistake in the inventory and told so."""
    with pytest.raises(UsageError, match="is no port"):
        parse_jump(text)


def test_the_command_by_hand() -> None:
    """The same files, port, hops, key and user."""
    target = Connect("p620", "deploy", 2222, "me@bastion:22", "/key")
    settings = SshSettings(config="/c", known_hosts="/k")
    assert ssh_argv(target, settings) == (
        *("ssh", "-F", "/c", "-o", "UserKnownHostsFile=/k"),
        *("-p", "2222", "-J", "me@bastion:22", "-i", "/key", "-l", "deploy", "--", "p620"),
    )
    assert ssh_argv(Connect("p620"), SshSettings()) == ("ssh", "--", "p620")


def test_an_address_is_never_an_option() -> None:
    """An address that begins with a dash is never an option: ``--`` stands before it."""
    argv = ssh_argv(Connect("-oProxyCommand=reboot"), SshSettings())
    assert argv == ("ssh", "--", "-oProxyCommand=reboot")


def test_the_command_can_be_pasted() -> None:
    """The ssh command to repeat by hand is quoted for a shell."""
    command = ssh_command(Connect("p620", identity="/my keys/id"), SshSettings())
    assert command == "ssh -i '/my keys/id' -- p620"
