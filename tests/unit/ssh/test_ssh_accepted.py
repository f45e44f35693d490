"""Where ssh logs in, so do we: one server, asked by ssh and by us, with the same files."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import pytest

from orchestrator.core.errors import StepError
from orchestrator.core.host import Connect, Deadlines, Host
from orchestrator.ssh.connect import connected
from orchestrator.ssh.running import said_by
from orchestrator.ssh.said import forget
from orchestrator.ssh.settings import SshSettings
from orchestrator.ssh.trust import offered_key, remember

LOCAL = "127.0.0.1"
PATIENT = Deadlines(connect=60)
RELAY = Path(__file__).parents[2] / "trust" / "relay.pl"
NAMED = "IdentityFile @/id\n"


class Door(asyncssh.SSHServer):
    """Lets in who has the right key, and notes which keys it was asked about."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def public_key_auth_supported(self) -> bool:
        """It takes keys."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether it is the right one."""
        del username
        self.place.shown.append(key.get_fingerprint())
        return key.public_data == self.place.right.public_data


@dataclass
class Place:
    """A home with keys, and a server that takes one of them."""

    home: Path
    shown: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.right = self.key("id")

    def key(self, name: str, passphrase: str | None = None) -> asyncssh.SSHKey:
        """Make a key, its public half beside it."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        file = self.home / name
        key.write_private_key(str(file), passphrase=passphrase)
        key.write_public_key(f"{file}.pub")
        file.chmod(0o600)
        return key

    def log_in(self, config: str, identity: str | None = None) -> tuple[bool, StepError | None]:
        """Ask the server in; give whether ssh got in, and what kept us out."""
        forget()
        return asyncio.run(self._log_in(config, identity))

    async def _log_in(self, config: str, identity: str | None) -> tuple[bool, StepError | None]:
        async def answer(process: asyncssh.SSHServerProcess[str]) -> None:
            process.exit(0)

        async with asyncssh.listen(
            LOCAL,
            0,
            server_factory=lambda: Door(self),
            server_host_keys=[self.host_key],
            process_factory=answer,
        ) as acceptor:
            port = acceptor.get_port()
            public = self.host_key.export_public_key().decode()
            known = "".join(f"{name} {public}" for name in (f"[{LOCAL}]:{port}", "alias"))
            (self.home / "known").write_text(known)
            text = f"{config}Host *\nUserKnownHostsFile @/known\nGlobalKnownHostsFile none\n"
            text = text.replace("@/", f"{self.home}/").replace("PORT", str(port))
            (self.home / "config").write_text(text)
            return await self._ssh(port, identity), await self._ours(port, identity)

    async def _ssh(self, port: int, identity: str | None) -> bool:
        options = ("-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-p", str(port))
        process = await asyncio.create_subprocess_exec(
            *("ssh", "-F", str(self.home / "config"), *options, "-l", "root"),
            *(("-i", identity) if identity else ()),
            *("--", LOCAL, "true"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        async with asyncio.timeout(60):
            return await process.wait() == 0

    async def _ours(self, port: int, identity: str | None) -> StepError | None:
        self.shown.clear()
        connect = Connect(LOCAL, "root", port, identity=identity)
        host = Host("h", "h", connect, deadlines=PATIENT)
        settings = SshSettings(config=str(self.home / "config"))
        try:
            async with connected(host, settings) as connection:
                done = await said_by(connection, "true", b"")
        except StepError as error:
            return error
        assert done is not None
        assert done.rc == 0
        return None


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A home of one's own, without an agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KEYS", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir(mode=0o700)
    (tmp_path / "folder").mkdir()
    for name, text in (("junk", "no key\n"), ("empty", ""), ("relay.pl", RELAY.read_text())):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    (tmp_path / "more").write_text("IdentityFile @/id\n".replace("@", str(tmp_path)))
    return Place(tmp_path)


@pytest.fixture
def agent(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real ssh-agent with seven keys that nobody takes."""
    socket = place.home / "agent"
    process = subprocess.Popen(("ssh-agent", "-D", "-a", str(socket)), stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    for number in range(7):
        place.key(f"other{number}")
        add(place, f"other{number}")
    yield
    process.terminate()
    process.communicate()


def add(place: Place, name: str, passphrase: str = "") -> None:
    """Give the agent a key."""
    asking = place.home / "ask"
    asking.write_text(f"#!/bin/sh\necho {passphrase}\n")
    asking.chmod(0o700)
    environment = {**os.environ, "SSH_ASKPASS": str(asking), "SSH_ASKPASS_REQUIRE": "force"}
    argv = ("ssh-add", "-q", str(place.home / name))
    subprocess.run(argv, check=True, env=environment, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize(
    "config",
    [
        "IdentityFile @/missing\n",
        "IdentityFile @/junk\n",
        "IdentityFile @/empty\n",
        "IdentityFile @/folder\n",
        "IdentityFile @/id.pub\n",
        "IdentityFile ${KEYS}/missing\n",
        "IdentityFile @/%C-%L-%l-%u-%i-%k-%n-%h-%p-%r-%%\n",
        "CertificateFile @/missing\n",
        "CertificateFile @/missing\nIdentitiesOnly yes\n",
        "CertificateFile @/junk\n",
        "CertificateFile @/folder\n",
        "CertificateFile @/id.pub\n",
        "IdentityAgent @/missing\n",
        "IdentityAgent $NOT_SET\n",
        "PKCS11Provider /missing.so\n",
    ],
)
def test_a_key_that_cannot_be_read_is_passed_over(place: Place, config: str) -> None:
    """A file of ssh_config's that is no key or certificate is passed over, as by ssh."""
    assert place.log_in(config + NAMED) == (True, None)


@pytest.mark.parametrize(
    "config",
    [
        f"{NAMED[:-1]} # mine\nUser root # me\nConnectTimeout 30 # s\nHostName {LOCAL} # rack 3\n",
        'Host * # "everybody\n' + NAMED,
        "Include @/more # don't\n",
        "ProxyCommand perl @/relay.pl PORT # don't mind\n".replace("don't", "do not") + NAMED,
        "RekeyLimit 1G 1h # x\nSetEnv A=b # c\nCiphers aes256-ctr # d\n" + NAMED,
    ],
)
def test_a_comment_at_the_end_of_a_line_is_one(place: Place, config: str) -> None:
    """What stands after ``#`` at the end of a line says nothing, quotes in it neither."""
    assert place.log_in(config) == (True, None)


@pytest.mark.parametrize("time", ["5m", "1h30m", "none", "90", "0", "1w2d"])
def test_a_time_may_have_units(place: Place, time: str) -> None:
    """``ConnectTimeout`` and ``ServerAliveInterval`` take ssh's own formats of time."""
    alive = "" if time == "none" else f"ServerAliveInterval {time}\n"
    assert place.log_in(f"ConnectTimeout {time}\n{alive}{NAMED}") == (True, None)


@pytest.mark.parametrize(
    "command",
    [
        "perl ~/relay.pl PORT",
        "perl $HOME/relay.pl PORT",
        "perl ${KEYS}/relay.pl PORT",
        "perl $(echo @/relay.pl) PORT",
        "perl `echo @/relay.pl` %p",
        "sh -c 'cd @/ && perl relay.pl \"$1\"' x %p",
        "perl @/relay.pl %p 2>/dev/null | cat",
    ],
)
def test_a_proxy_command_is_the_shells(
    place: Place, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """``~``, variables and substitutions in a ``ProxyCommand`` are the shell's, as with ssh."""
    monkeypatch.setenv("SHELL", "/bin/sh")
    if "~" in command:  # ssh's HOME is that of the environment there, too
        assert Path("~").expanduser() == place.home
    assert place.log_in(f"ProxyCommand {command}\n{NAMED}") == (True, None)


@pytest.mark.parametrize(
    "config",
    [
        "RequestTTY force\n",
        "ForkAfterAuthentication yes\n",
        "StdinNull yes\n",
        "LocalForward 127.0.0.1:1 127.0.0.1:2\nClearAllForwardings yes\n",
        "GSSAPIAuthentication yes\nPreferredAuthentications gssapi-with-mic,hostbased,publickey\n",
        "PubkeyAuthentication host-bound\n",
        "Match localuser * exec \"test '%h' = 127.0.0.1\"\n Compression yes\nMatch all\n",
        "Match final\n Compression yes\nMatch canonical\n Port 1\nMatch all\n",
        "IgnoreUnknown UseKeychain\nUseKeychain yes\n",
        "PubkeyAcceptedAlgorithms ssh-ed25519\n",
    ],
)
def test_what_ssh_makes_nothing_of_keeps_nobody_out(place: Place, config: str) -> None:
    """Options that are for a person at a terminal, or that ssh passes over, keep us out nowhere."""
    assert place.log_in(config + NAMED) == (True, None)


def test_a_file_that_ssh_does_not_understand_is_an_error_in_its_words(place: Place) -> None:
    """Where ssh refuses its files, whatever block is at fault, its words and the line are said."""
    theirs, ours = place.log_in('Host other\n  IdentityFile "@/id\nHost *\n' + NAMED)
    assert not theirs
    assert ours is not None
    assert "line 2: invalid quotes" in ours.message
    assert str(ours.command).endswith("-G -- 127.0.0.1")


@pytest.mark.usefixtures("agent")
def test_the_named_key_goes_before_all_others_of_the_agent(place: Place) -> None:
    """A server that allows few tries lets in whose key was named, however many the agent has."""
    mine = place.right.get_fingerprint()
    for config, identity in ((NAMED, None), ("", str(place.home / "id"))):
        assert place.log_in(config, identity)[1] is None
        assert place.shown[0] == mine
    add(place, "id")
    for config, identity in ((NAMED, None), ("", str(place.home / "id"))):
        assert place.log_in(config, identity) == (True, None)
        assert place.shown[0] == mine


@pytest.mark.usefixtures("agent")
def test_an_agent_is_asked_for_the_named_key_alone_where_that_is_said(place: Place) -> None:
    """``IdentitiesOnly`` offers the keys that were named, and none of the agent's others."""
    place.right = place.key("elsewhere")
    theirs, ours = place.log_in("IdentitiesOnly yes\n" + NAMED)
    assert not theirs
    assert ours is not None
    assert len(set(place.shown)) == 1


@pytest.mark.usefixtures("agent")
def test_the_agent_has_the_key_of_an_encrypted_file(place: Place) -> None:
    """An encrypted key that the inventory or ssh_config names is used through the agent."""
    place.right = place.key("locked", "secret")
    file = str(place.home / "locked")
    (place.home / "locked.pub").unlink()
    refused = place.log_in("", file)[1]
    assert refused is not None
    assert refused.message == f"the identity {file} is encrypted, and no agent has its key"
    assert refused.command == f"ssh-add {file}"
    add(place, "locked", "secret")
    for config, identity in (("", file), ("IdentityFile @/locked\nIdentitiesOnly yes\n", None)):
        assert place.log_in(config, identity) == (True, None)
        assert place.shown[0] == place.right.get_fingerprint()


@pytest.mark.usefixtures("agent")
def test_the_public_half_names_a_key_of_the_agents(place: Place) -> None:
    """A file with a public key alone stands for the agent's key, as password managers have it."""
    add(place, "id")
    (place.home / "id").unlink()
    for name in ("id.pub", "id"):
        config = f"IdentityFile @/{name}\nIdentitiesOnly yes\n"
        assert place.log_in(config) == (True, None)
    assert place.log_in("", str(place.home / "id.pub")) == (True, None)


def test_a_named_key_that_is_none_is_an_error(place: Place) -> None:
    """An inventory's identity that is missing, or no key, is said before the host is asked."""
    for name, why in (("missing", "cannot be read: "), ("junk", "is no private key")):
        error = place.log_in("", str(place.home / name))[1]
        assert error is not None
        assert why in error.message
        assert place.shown == []


COMMANDED = f"UserKnownHostsFile none\nGlobalKnownHostsFile none\n{NAMED}KnownHostsCommand "


@pytest.mark.parametrize(
    "command",
    [
        "/bin/grep -F %H @/known\n",
        "/bin/sh -c 'test %I = ADDRESS || cat \"$0\"' @/known\n",
        "/bin/cat ${KEYS}/known\n",
        "/bin/sh @/says '%h' %n %p %r %u # also an argument\n",
        "/bin/cat @/known\nHostKeyAlias alias\n",
    ],
)
def test_a_command_may_know_the_hosts_keys(place: Place, command: str) -> None:
    """``KnownHostsCommand`` is asked as ssh asks it: without a shell, its tokens put in."""
    (place.home / "says").write_text('test "$#" = 9 && cat "$KEYS/known"\n')
    assert place.log_in(COMMANDED + command) == (True, None)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("/bin/cat @/known @/missing", "KnownHostsCommand failed"),
        ("/bin/false", "KnownHostsCommand failed for 127.0.0.1: exit 1"),
        ("/bin/true", "is not a known one: no key is known"),
        ("/bin/sh -c 'cat @/known; sed s/^/@revoked\\ / @/known'", "a backslash"),
        ("/bin/sh -c 'cat @/known; sed \"s/^/@revoked /\" @/known'", "is revoked"),
        ("/bin/sed s/127.0.0.1/127.0.0.9/ @/known", "no key is known"),
        ("cat @/known", "it has no whole path"),
    ],
)
def test_what_the_command_does_not_vouch_for_is_refused(
    place: Place, command: str, why: str
) -> None:
    """A command that fails, revokes, or speaks of another host lets nobody in, as with ssh."""
    theirs, ours = place.log_in(f"{COMMANDED}{command}\n")
    assert not theirs
    assert ours is not None
    assert why in ours.message
    assert place.shown == []


@pytest.mark.parametrize("more", ["%K", "%f", "%t"])
def test_a_command_that_wants_the_key_is_refused(place: Place, more: str) -> None:
    """The command is asked before the host shows a key: one that is about a key is not run."""
    ours = place.log_in(f"{COMMANDED}/bin/sh -c 'cat @/known' {more}\n")[1]
    assert ours is not None
    assert f"{more} in KnownHostsCommand" in ours.message
    address = place.log_in(f"{COMMANDED}/bin/cat @/known\nCheckHostIP yes\n")[1]
    assert address is not None
    assert "CheckHostIP" in address.message


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ("", "[nowhere.invalid]:2222"),
        ("HostKeyAlias Web\n", "web"),
        ("HostName other.invalid\n", "[other.invalid]:2222"),
        ("Port 22\n", "nowhere.invalid"),
    ],
)
def test_a_key_to_trust_is_asked_for_by_the_same_way(place: Place, config: str, name: str) -> None:
    """`host trust` takes the ``ProxyCommand``; what it writes is what a connection looks up."""
    port = None if "Port" in config else 2222

    async def scene() -> None:
        async with asyncssh.listen(LOCAL, 0, server_host_keys=[place.host_key]) as acceptor:
            known = place.home / "known"
            known.write_text("")
            proxy = f"ProxyCommand perl {place.home}/relay.pl {acceptor.get_port()}\n"
            text = f"{config}{proxy}UserKnownHostsFile {known}\nGlobalKnownHostsFile none\n"
            settings = SshSettings(config=str(place.home / "config"))
            (place.home / "config").write_text(text)
            host = Host("h", "h", Connect("nowhere.invalid", "root", port), deadlines=PATIENT)
            key = await offered_key(host, settings)
            assert (key.name, key.known, key.file) == (name, False, str(known))
            assert key.fingerprint == place.host_key.get_fingerprint()
            remember(key)
            assert (await offered_key(host, settings)).known
            with pytest.raises(StepError, match="refused the login"):
                async with connected(host, settings):
                    pass
            known.write_text(f"{key.line}\n@revoked {name} {' '.join(key.line.split()[1:])}\n")
            with pytest.raises(StepError, match=r"cannot be trusted: .*@revoked"):
                await offered_key(host, settings)

    forget()
    asyncio.run(scene())
