"""SSH against real servers on the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import pytest

from orchestrator.core.errors import SilentError, StepError, UnreachableError
from orchestrator.core.host import Connect, Deadlines, Host
from orchestrator.ssh import network, running
from orchestrator.ssh.executor import SshExecutor, open_ssh
from orchestrator.ssh.settings import SshSettings
from orchestrator.ssh.sudo import SudoPassword

LOCAL = "127.0.0.1"


class Server(asyncssh.SSHServer):
    """Takes any user with the right key, and lets connections through."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Note the connection."""
        self.hub.connections.append(conn)

    def connection_requested(self, host: str, port: int, *_: object) -> bool:
        """Let a jump through, and note it."""
        self.hub.jumps.append((host, port))
        return True


@dataclass
class Hub:
    """Keys and files, and the servers' memory of what they were asked."""

    folder: Path
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    jumps: list[tuple[str, int]] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    identity: str | None = "id"

    def __post_init__(self) -> None:
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.user_key = asyncssh.generate_private_key("ssh-ed25519")
        self.user_key.write_private_key(str(self.folder / "id"))
        (self.folder / "id").chmod(0o600)
        (self.folder / "config").touch()

    def settings(self, trusted: asyncssh.SSHKey | None, *ports: int) -> SshSettings:
        """Trust a key for some ports."""
        known = self.folder / "known_hosts"
        text = trusted.export_public_key().decode() if trusted else ""
        known.write_text("".join(f"[{LOCAL}]:{port} {text}" for port in ports if text))
        return SshSettings(config=str(self.folder / "config"), known_hosts=str(known))

    def host(self, port: int, *, user: str = "root", **options: object) -> Host:
        """A host behind a port."""
        identity = self.identity and str(self.folder / self.identity)
        connect = Connect(LOCAL, user, port, identity=identity, **options)  # type: ignore[arg-type]
        return Host("p620", "p620", connect, deadlines=Deadlines(connect=10))

    @contextlib.asynccontextmanager
    async def server(self, **options: object) -> AsyncIterator[int]:
        """Listen, and give the port."""
        authorized = asyncssh.import_authorized_keys(self.user_key.export_public_key().decode())
        acceptor = await asyncssh.listen(
            LOCAL,
            0,
            server_factory=lambda: Server(self),
            server_host_keys=[self.host_key],
            authorized_client_keys=authorized,
            process_factory=self._handle,
            encoding=None,
            **options,
        )
        async with acceptor:
            yield acceptor.get_port()
            for connection in self.connections:
                connection.abort()

    async def _handle(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        assert process.command is not None
        self.commands.append(process.command)
        if process.command == "hang-up":
            process.channel.get_connection().abort()
            return
        if process.command == "die":
            process.exit_with_signal("KILL")
            return
        if process.command == "never":
            # As OpenSSH's sshd: it agrees to close a session only when the command has ended.
            with contextlib.suppress(asyncssh.Error):
                while True:
                    await asyncio.shield(asyncio.sleep(3600))
        child = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", process.command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", **self.environment},
        )
        stdout, stderr = await child.communicate(await process.stdin.read())
        process.stdout.write(stdout)
        process.stderr.write(stderr)
        process.exit(child.returncode or 0)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Make keys and files; nobody's own are looked at."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return Hub(tmp_path)


Scene = Callable[[SshExecutor], Awaitable[None]]


def play(
    hub: Hub, scene: Scene, *, user: str = "root", password: SudoPassword | None = None
) -> None:
    """Connect as trusted, and play a scene."""

    async def playing() -> None:
        async with hub.server() as port:
            settings = hub.settings(hub.host_key, port)
            async with open_ssh(hub.host(port, user=user), settings, password) as executor:
                await scene(executor)

    asyncio.run(playing())


def refused(hub: Hub, settings: Callable[[int], SshSettings]) -> StepError:
    """Try to connect, and give the error."""

    async def connecting() -> None:
        async with hub.server() as port, open_ssh(hub.host(port), settings(port)):
            pass

    with pytest.raises(StepError) as caught:
        asyncio.run(connecting())
    return caught.value


def test_an_unknown_host_key_is_refused(hub: Hub) -> None:
    """An unknown host key is refused, with the command that trusts it, and never accepted."""
    error = refused(hub, lambda port: hub.settings(None, port))
    assert not isinstance(error, UnreachableError)
    assert "the host key of 127.0.0.1 is not a known one" in error.message
    assert error.hint == "if you expect this key, trust it: orchestrator host trust p620"
    assert hub.commands == []


def test_another_host_key_is_refused(hub: Hub) -> None:
    """A key that is not the known one is refused in the same way."""
    other = asyncssh.generate_private_key("ssh-ed25519")
    error = refused(hub, lambda port: hub.settings(other, port))
    assert "is not a known one" in error.message


@pytest.mark.parametrize(
    "config",
    [
        "UserKnownHostsFile none\nGlobalKnownHostsFile none\n",
        "UserKnownHostsFile none\n",
        "StrictHostKeyChecking no\n",
        "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n",
    ],
)
def test_no_configuration_switches_host_keys_off(hub: Hub, config: str) -> None:
    """Whatever ``ssh_config`` says, a key that nobody vouched for is refused."""
    (hub.folder / "config").write_text(f"Host *\n{config}")
    error = refused(hub, lambda _: SshSettings(config=str(hub.folder / "config")))
    assert "is not a known one" in error.message


def test_the_known_host_key_is_accepted(hub: Hub) -> None:
    """A host whose key is known is connected to, and runs commands."""

    async def scene(executor: SshExecutor) -> None:
        done = await executor.run(("echo", "hello"), deadline=60)
        assert (done.rc, done.out) == (0, "hello")

    play(hub, scene)


def test_a_refused_login_is_told(hub: Hub) -> None:
    """A key that the host does not know: the error names the user, the hint where to look."""
    other = asyncssh.generate_private_key("ssh-ed25519")
    other.write_private_key(str(hub.folder / "id"))
    error = refused(hub, lambda port: hub.settings(hub.host_key, port))
    assert error.message.startswith("root@127.0.0.1 refused the login")
    assert not isinstance(error, UnreachableError)


def test_nobody_listens(hub: Hub) -> None:
    """A host without sshd is unreachable, and the cause is told."""

    async def connecting() -> None:
        async with hub.server() as port:
            pass
        async with open_ssh(hub.host(port), hub.settings(hub.host_key, port)):
            pass

    with pytest.raises(UnreachableError, match=r"no SSH connection to 127.0.0.1: .+"):
        asyncio.run(connecting())


@contextlib.asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """A port at which connections are taken, and nothing is said."""
    # Closed where it reaches its end: an open socket is found by whichever test comes later.
    ended: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, end: ended.append(end), LOCAL, 0)
    try:
        async with server:
            yield server.sockets[0].getsockname()[1]
    finally:
        for end in ended:
            end.transport.abort()


def test_a_host_that_says_nothing(hub: Hub) -> None:
    """A connection on which nothing comes is given up at the deadline."""

    async def connecting() -> None:
        async with silent() as port:
            host = Host("p", "p", hub.host(port).connect, deadlines=Deadlines(connect=0.2))
            async with open_ssh(host, hub.settings(hub.host_key, port)):
                pass

    with pytest.raises(SilentError, match=r"took the connection, and no SSH session .* in 0 s"):
        asyncio.run(connecting())


def test_a_jump_host_that_says_nothing_is_named(hub: Hub) -> None:
    """The host behind it was never asked: what to look at is the jump host."""

    async def connecting() -> None:
        async with silent() as port:
            connect = hub.host(22, jump=f"root@{LOCAL}:{port}").connect
            host = Host("p", "p", connect, deadlines=Deadlines(connect=0.3))
            async with open_ssh(host, hub.settings(hub.host_key, port)):
                pass

    with pytest.raises(UnreachableError, match=r"it is reached through .*, and not even that was"):
        asyncio.run(connecting())


def test_a_server_that_closes_at_once_is_told_from_one_that_is_off(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who waits a minute is let in again; one who looks for a cable looks for long."""
    monkeypatch.setattr(network, "_FIRST_PAUSE", 3600)  # not tried again

    async def connecting() -> None:
        async with await asyncio.start_server(lambda _, end: end.close(), LOCAL, 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with open_ssh(hub.host(port), hub.settings(hub.host_key, port)):
                pass

    with pytest.raises(SilentError) as raised:
        asyncio.run(connecting())
    assert "try again in a minute" in str(raised.value.hint)


def test_a_jump_host_is_gone_through(hub: Hub) -> None:
    """The connection to the host goes through the jump host, each with its key checked."""

    async def connecting() -> None:
        async with hub.server() as bastion, hub.server() as port:
            host = hub.host(port, jump=f"root@{LOCAL}:{bastion}")
            config = f"Host *\nIdentityFile {hub.folder}/id\n"
            (hub.folder / "config").write_text(config)
            settings = hub.settings(hub.host_key, bastion, port)
            async with open_ssh(host, settings) as executor:
                assert (await executor.run(("echo", "through"), deadline=60)).out == "through"
            assert hub.jumps == [(LOCAL, port)]

    asyncio.run(connecting())


def test_a_jump_hosts_key_is_checked(hub: Hub) -> None:
    """A jump host that nobody vouched for sees no login."""

    async def connecting() -> None:
        async with hub.server() as bastion, hub.server() as port:
            host = hub.host(port, jump=f"root@{LOCAL}:{bastion}")
            async with open_ssh(host, hub.settings(hub.host_key, port)):
                pass

    with pytest.raises(StepError, match="is not a known one") as caught:
        asyncio.run(connecting())
    assert "jump host once by hand: ssh" in str(caught.value.hint)
    assert hub.jumps == []


def test_a_command_sees_the_end_of_its_input(hub: Hub) -> None:
    """A command gets all of its input and the end of it, with input and without."""

    async def scene(executor: SshExecutor) -> None:
        assert (await executor.run(("cat",), deadline=60)).stdout == b""
        data = b"\0binary\xff" * 100_000
        assert (await executor.run(("cat",), deadline=60, stdin=data)).stdout == data

    play(hub, scene)


def test_arguments_arrive_as_they_are(hub: Hub) -> None:
    """The login shell there reads none of them."""
    nasty = ("a b", "$(reboot)", "`id`", "'\"", "*", "", "-n", "\n", ";", "é", "~", "#")

    async def scene(executor: SshExecutor) -> None:
        done = await executor.run(("printf", r"%s\0", *nasty), deadline=60)
        assert done.stdout == ("\0".join(nasty) + "\0").encode()

    play(hub, scene)


def test_both_streams_and_the_code_come_back(hub: Hub) -> None:
    """Apart from one another; a signal is a negative code."""

    async def scene(executor: SshExecutor) -> None:
        done = await executor.run(("sh", "-c", "echo out; echo err >&2; exit 4"), deadline=60)
        assert (done.rc, done.stdout, done.stderr) == (4, b"out\n", b"err\n")
        assert (await executor.run(("die",), deadline=60)).rc < 0

    play(hub, scene)


def test_a_command_need_not_read_its_input(hub: Hub) -> None:
    """One that ends before its input was sent has ended, and no connection was lost."""

    async def scene(executor: SshExecutor) -> None:
        for _ in range(20):
            assert (await executor.run(("die",), deadline=60, stdin=b"x" * 100_000)).rc < 0

    play(hub, scene)


def test_a_lost_connection_is_told(hub: Hub) -> None:
    """In the middle of a command, and for every command afterwards."""

    async def scene(executor: SshExecutor) -> None:
        for argv in (("hang-up",), ("true",)):
            with pytest.raises(UnreachableError, match="the connection was lost"):
                await executor.run(argv, deadline=60)

    play(hub, scene)


def test_a_deadline_does_not_wait_for_the_command(hub: Hub) -> None:
    """A command that never ends is given up, and the connection still works."""

    async def scene(executor: SshExecutor) -> None:
        async with asyncio.timeout(30):
            with pytest.raises(StepError, match=r"never did not end on the host within 0 s"):
                await executor.run(("never",), deadline=0.2)
            assert (await executor.run(("echo", "on"), deadline=60)).out == "on"

    play(hub, scene)


@pytest.mark.parametrize(("refusals", "ends"), [(0, "open"), (5, "open"), (6, "refused")])
def test_a_session_that_comes_too_early_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, refusals: int, ends: str
) -> None:
    """A host that allows few sessions a connection may not have ended the last one yet."""
    monkeypatch.setattr(running, "_PAUSES", (0.0,) * 5)
    asked: list[None] = []

    async def session() -> str:
        asked.append(None)
        if len(asked) <= refusals:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "open failed")
        return "open"

    async def asking() -> str:
        try:
            return await running.opened(session)
        except asyncssh.ChannelOpenError:
            return "refused"

    assert asyncio.run(asking()) == ends
    assert len(asked) == min(refusals + 1, 6)


def test_a_stream_to_a_frozen_host_is_left_at_once(hub: Hub) -> None:
    """A person who stops a copy does not wait until the connection is given up."""

    async def scene(executor: SshExecutor) -> None:
        (connection,) = hub.connections
        transport = connection._transport
        assert transport is not None
        try:
            async with asyncio.timeout(5), executor.open(("never",)):
                transport.pause_reading()
        finally:
            transport.resume_reading()

    play(hub, scene)


FAKE_SUDO = """#!/bin/sh
# As sudo: -n never asks, -S reads the password from standard input where the rules want one.
printf '%s\\n' "$*" >> "$SUDO_LOG"
case $FREE$1 in
  -n) echo "sudo: a password is required" >&2; exit 1 ;;
  -k) IFS= read -r given; [ "$given" = "$PASSWORD" ] || { echo "Sorry, try again." >&2; exit 1; } ;;
esac
while [ $# -gt 0 ]; do
  case $1 in --) shift; break ;; -p) shift 2 ;; -*) shift ;; *) break ;; esac
done
exec "$@"
"""


@pytest.fixture
def sudo(hub: Hub) -> Hub:
    """A ``sudo`` on the server's path that wants the password ``hunter2``."""
    folder = hub.folder / "bin"
    folder.mkdir()
    (folder / "sudo").write_text(FAKE_SUDO)
    (folder / "sudo").chmod(0o755)
    log = hub.folder / "sudo.log"
    log.touch()
    path = f"{folder}:/usr/local/bin:/usr/bin:/bin"
    hub.environment = {"PATH": path, "SUDO_LOG": str(log), "PASSWORD": "hunter2", "FREE": ""}
    return hub


async def _cat(executor: SshExecutor) -> None:
    done = await executor.run(("cat",), deadline=60, stdin=b"the input")
    assert (done.rc, done.stdout) == (0, b"the input")


def test_the_password_goes_to_sudo_alone(sudo: Hub) -> None:
    """On standard input; the command reads its own input, and no command line ever has it."""
    play(sudo, _cat, user="deploy", password=SudoPassword("hunter2"))
    assert not any("hunter2" in command for command in sudo.commands)
    assert "hunter2" not in (sudo.folder / "sudo.log").read_text()


def test_without_need_the_password_goes_nowhere(sudo: Hub) -> None:
    """Where sudo asks for none, no command reads one as its input."""
    sudo.environment["FREE"] = "yes"
    play(sudo, _cat, user="deploy", password=SudoPassword("hunter2"))
    play(sudo, _cat, user="deploy")


def test_the_rules_of_sudo_may_change_while_a_connection_is_open(sudo: Hub) -> None:
    """Commands and streams read their own input alone, and go on when sudo asks again."""

    async def scene(executor: SshExecutor) -> None:
        for free in ("", "yes", ""):
            sudo.environment["FREE"] = free
            await _cat(executor)
            async with executor.open(("cat",)) as opened:
                opened.stdin.write(b"a stream")
                opened.stdin.write_eof()
                assert await opened.stdout.read(-1) == b"a stream"

    async def free_at_first(executor: SshExecutor) -> None:
        for free in ("yes", ""):
            sudo.environment["FREE"] = free
            await _cat(executor)

    play(sudo, scene, user="deploy", password=SudoPassword("hunter2"))
    play(sudo, free_at_first, user="deploy", password=SudoPassword("hunter2"))
    assert not any("hunter2" in command for command in sudo.commands)


def test_root_needs_no_sudo(sudo: Hub) -> None:
    """Logged in as root, or where root is not asked for, sudo is not called."""

    async def scene(executor: SshExecutor) -> None:
        assert (await executor.run(("true",), deadline=60, root=False)).rc == 0

    play(sudo, _cat)
    play(sudo, scene, user="deploy")
    assert (sudo.folder / "sudo.log").read_text() == ""


def test_who_logged_in_by_which_key_and_how_root_is_reached_is_known(sudo: Hub) -> None:
    """The login has the fingerprint of the key that was taken, not of one that was tried before."""
    key = sudo.user_key.get_fingerprint()
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(sudo.folder / "first"))
    (sudo.folder / "first").chmod(0o600)
    names = "".join(f"  IdentityFile {sudo.folder}/{name}\n" for name in ("first", "id"))
    (sudo.folder / "config").write_text(f"Host *\n{names}")
    sudo.identity = None
    logins = []

    async def scene(executor: SshExecutor) -> None:
        await _cat(executor)
        login = executor.login
        assert (login.kind, login.fingerprint) == ("ssh-ed25519", key)
        assert not login.is_certificate
        logins.append((login.user, login.sudo, login.password))

    play(sudo, scene)
    play(sudo, scene, user="deploy", password=SudoPassword("hunter2"))
    sudo.environment["FREE"] = "yes"
    play(sudo, scene, user="deploy")
    assert logins == [
        ("root", False, False),
        ("deploy", True, True),
        ("deploy", True, False),
    ]


def test_a_wrong_password_is_told_once(sudo: Hub) -> None:
    """No command runs, and sudo's own words are there."""

    async def scene(executor: SshExecutor) -> None:
        with pytest.raises(StepError, match="refused the password") as caught:
            await executor.run(("cat",), deadline=60)
        assert caught.value.stderr == "Sorry, try again."

    play(sudo, scene, user="deploy", password=SudoPassword("wrong"))
    assert not any(command.endswith(" cat") for command in sudo.commands)


def test_a_password_that_is_wanted_and_not_given(sudo: Hub) -> None:
    """The hint names the option that gives it."""

    async def scene(executor: SshExecutor) -> None:
        with pytest.raises(StepError, match="sudo asks for a password") as caught:
            await executor.run(("cat",), deadline=60)
        assert caught.value.hint is not None
        assert "--ask-sudo-password" in caught.value.hint

    play(sudo, scene, user="deploy")


def test_a_command_can_be_repeated_by_hand(hub: Hub) -> None:
    """Quoted twice: for the shell here and for the one there."""

    async def scene(executor: SshExecutor) -> None:
        assert executor.repeat(("echo", "a b")).endswith(
            "-l root -- 127.0.0.1 'echo '\"'\"'a b'\"'\"''"
        )

    play(hub, scene)
