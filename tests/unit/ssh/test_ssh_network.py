"""What hosts share on the way to them: names, tries, connections to jump hosts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from test_ssh import LOCAL, Hub

from orchestrator.core.errors import SilentError, StepError, UnreachableError
from orchestrator.core.host import Host
from orchestrator.core.values import replace
from orchestrator.ssh import network
from orchestrator.ssh.channel import EventLoop
from orchestrator.ssh.executor import open_ssh
from orchestrator.ssh.settings import SshSettings
from orchestrator.ssh.trust import offered_key

HERE = Path(__file__).parent
RELAY = HERE.parents[1] / "trust" / "relay.pl"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Make keys and files; nobody's own are looked at."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return Hub(tmp_path)


async def echo(host: Host, settings: SshSettings) -> str:
    """Run a command on a host, and give what it says."""
    async with open_ssh(host, settings) as executor:
        return (await executor.run(("echo", "here"), deadline=60)).out


@dataclass
class Door:
    """A server's port behind one that closes some connections as sshd's ``MaxStartups`` does.

    Attributes:
        inner: The server's.
        refused: How many are closed before the first that is let through.
        came: How many came.
    """

    inner: int
    refused: int = 0
    came: int = 0
    pipes: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, read: asyncio.StreamReader, write: asyncio.StreamWriter) -> None:
        """Let one through, or not."""
        self.came += 1
        if self.came <= self.refused:
            write.write(b"Exceeded MaxStartups\r\n")
            write.close()
            return
        there, back = await asyncio.open_connection(LOCAL, self.inner)
        for ends in ((read, back), (there, write)):
            self.pipes.add(asyncio.ensure_future(pass_on(*ends)))

    @contextlib.asynccontextmanager
    async def opened(self, *, later: bool = False) -> AsyncIterator[tuple[int, asyncio.Server]]:
        """Give its own port, at which nobody listens yet where that comes later."""
        end = socket.socket()
        end.bind((LOCAL, 0))
        server = await asyncio.start_server(self.serve, sock=end, start_serving=not later)
        async with server:
            yield end.getsockname()[1], server
        for pipe in self.pipes:
            pipe.cancel()
        await asyncio.gather(*self.pipes, return_exceptions=True)


async def pass_on(read: asyncio.StreamReader, write: asyncio.StreamWriter) -> None:
    """Pass on what comes."""
    with contextlib.suppress(OSError):
        while data := await read.read(1 << 16):
            write.write(data)
            await write.drain()
    write.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two tries."""

    def pauses() -> Iterator[float]:
        while True:
            yield 0.001

    monkeypatch.setattr(network, "_pauses", pauses)


def namespaces() -> tuple[str, ...]:
    """The command that gives another one a network and mounts of its own; none where it may not."""
    argv = ("unshare", "--net", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",)))
    if subprocess.run((*argv, "true"), capture_output=True, check=False).returncode:
        pytest.skip("no namespaces can be made here")
    return argv


def test_names_that_nobody_answers_for_keep_no_other_host(tmp_path: Path) -> None:
    """Of 20 names whose DNS never answers beside 30 good ones, asked about first, the 30 answer."""
    argv = (*namespaces(), sys.executable, str(HERE / "dead_names.py"), str(tmp_path))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    said = json.loads(done.stdout)
    good = [name for name, error in said.items() if not error]
    assert good == [f"good{number}" for number in range(30)], done.stderr
    for number in range(20):
        why = f"no name server has answered what the address of dead{number}.example is"
        assert why in said[f"dead{number}"]


def test_a_host_is_reached_while_all_of_asyncios_threads_are_busy(hub: Hub) -> None:
    """Neither a name nor the options of a connection wait for what else blocks in this process."""
    over = threading.Event()

    async def reaching(host: Host, settings: SshSettings) -> str:
        loop = asyncio.get_running_loop()
        blocked = [loop.run_in_executor(None, over.wait) for _ in range(100)]
        try:
            return await echo(host, settings)
        finally:
            over.set()
            await asyncio.gather(*blocked)

    async def serving() -> str:
        async with hub.server() as port:
            settings = hub.settings(hub.host_key, port)
            known = hub.folder / "known_hosts"
            known.write_text(known.read_text().replace(LOCAL, "localhost"))
            host = hub.host(port)
            host = replace(host, connect=replace(host.connect, address="localhost"))
            with EventLoop() as loop:  # asyncssh's servers need threads, too
                return await asyncio.wrap_future(loop.submit(reaching(host, settings)))

    assert asyncio.run(serving()) == "here"


def test_the_same_name_is_looked_up_once_by_all_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name of many hosts is asked for once, and that it has no address is each one's failure."""
    asked: list[str] = []
    go_on = threading.Event()

    def slow(host: str, port: int, family: int, flags: int) -> list[network.Address]:
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        asked.append(host)
        go_on.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "nobody answers")

    monkeypatch.setattr(network, "_look_up", slow)

    async def asking() -> list[object]:
        waiting = [asyncio.ensure_future(network.addresses("gate", 22)) for _ in range(5)]
        await asyncio.sleep(0)
        go_on.set()
        return await asyncio.gather(*waiting, return_exceptions=True)

    found = asyncio.run(asking())
    assert [type(one) for one in found] == [socket.gaierror] * 5
    assert asked == ["gate"]


def test_of_several_addresses_the_first_that_takes_it_is_taken(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name's address at which nobody listens is passed over."""

    async def connecting() -> str:
        async with hub.server() as port:
            nobody = socket.create_server((LOCAL, 0))
            closed = nobody.getsockname()
            nobody.close()
            found = [(socket.AF_INET, closed), (socket.AF_INET, (LOCAL, port))]
            monkeypatch.setattr(network, "_look_up", lambda *_: found)
            return await echo(hub.host(port), hub.settings(hub.host_key, port))

    assert asyncio.run(connecting()) == "here"


@pytest.mark.parametrize("refused", [1, 7])
@pytest.mark.usefixtures("impatient")
def test_a_host_that_closes_some_connections_is_asked_again(hub: Hub, refused: int) -> None:
    """Where ``MaxStartups`` closes some of many, who comes again is let in, and sees the key."""

    async def connecting() -> None:
        async with hub.server() as port:
            door, other = Door(port, refused), Door(port, refused)
            async with door.opened() as (outer, _):
                assert await echo(hub.host(outer), hub.settings(hub.host_key, outer)) == "here"
            async with other.opened() as (outer, _):
                key = await offered_key(hub.host(outer), hub.settings(None))
            assert not key.known
            assert (door.came, other.came) == (refused + 1, refused + 1)

    asyncio.run(connecting())


def test_a_host_that_closes_every_connection_is_unreachable_in_the_end(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host is tried as often as the deadline allows; the error says how often, and the cure."""
    monkeypatch.setattr(network, "_pauses", lambda: iter((0.001, 0.001, 3600)))

    async def connecting() -> None:
        async with hub.server() as port:
            door = Door(port, 1 << 30)
            async with door.opened() as (outer, _):
                with pytest.raises(SilentError, match=r"without a word \(3 times\)") as raised:
                    await echo(hub.host(outer), hub.settings(hub.host_key, outer))
            assert door.came == 3
            assert "MaxStartups" in str(raised.value.hint)

    asyncio.run(connecting())


SHUT = "kex_exchange_identification: Connection closed by remote host"


@pytest.mark.parametrize(
    ("command", "tries", "error", "says"),
    [
        ("false", 3, UnreachableError, "its ProxyCommand failed: exit 1"),
        ("sh -c 'echo no route >&2; exit 1'", 3, UnreachableError, "failed: exit 1: no route"),
        ("no-such-program", 1, UnreachableError, r"not found \(exit 127\)"),
        ("/dev/null", 1, UnreachableError, r"could not be executed \(exit 126\)"),
        (f"sh -c 'echo {SHUT} >&2; exit 255'", 9, UnreachableError, f"exit 255: {SHUT}"),
        ("true", 9, SilentError, r"without a word \(9 times\)"),
    ],
)
def test_a_command_that_ends_at_once_is_tried_as_often_as_that_helps(
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    command: str,
    tries: int,
    error: type[UnreachableError],
    says: str,
) -> None:
    """One whose jump host closes connections: within the deadline; what fails by itself: soon."""
    monkeypatch.setattr(network, "_pauses", lambda: iter((*[0.001] * 8, 3600)))
    log, script = hub.folder / "tries", hub.folder / "script"
    script.write_text(f"echo >> {log}\nexec {command}\n")
    (hub.folder / "config").write_text(f"Host *\n ProxyCommand sh {script}\n")
    with pytest.raises(UnreachableError, match=says) as raised:
        asyncio.run(echo(hub.host(22), hub.settings(None)))
    assert type(raised.value) is error
    assert log.read_text() == "\n" * tries
    assert caplog.messages == []


def test_what_a_command_says_on_its_stderr_is_none_of_the_hosts_words(hub: Hub) -> None:
    """A session through a ``ProxyCommand`` that warns in its middle goes on."""
    script = hub.folder / "script"

    async def connecting() -> str:
        async with hub.server() as port:
            settings = hub.settings(hub.host_key, port)
            noise = "while sleep 0.01; do echo SSH-2.0-nonsense; done >&2"
            script.write_text(f"{{ {noise}; }} & perl {RELAY} {port}\nkill $!\n")
            (hub.folder / "config").write_text(f"Host *\n ProxyCommand sh {script}\n")
            return await echo(hub.host(port), settings)

    assert asyncio.run(connecting()) == "here"


def test_what_a_command_started_ends_with_its_connection(hub: Hub) -> None:
    """A part of a pipe, or the program that a script runs, is not left behind."""
    script, pid = hub.folder / "script", hub.folder / "pid"

    async def connecting() -> str:
        async with hub.server() as port:
            settings = hub.settings(hub.host_key, port)
            script.write_text(f"sleep 900 & echo $! > {pid}\nperl {RELAY} {port}\n")
            (hub.folder / "config").write_text(f"Host *\n ProxyCommand sh {script}\n")
            said = await echo(hub.host(port), settings)
            async with asyncio.timeout(60):
                await until(lambda: not goes_on(pid.read_text()))
            return said

    assert asyncio.run(connecting()) == "here"


def goes_on(pid: str) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path("/proc", pid.strip(), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_host_that_spoke_and_closed_is_not_asked_again(hub: Hub) -> None:
    """Who let us in as far as to the login, and then closed, does so on purpose."""

    async def connecting() -> int:
        came = 0

        def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal came
            came += 1
            writer.write(b"SSH-2.0-x\r\n")
            writer.close()

        async with await asyncio.start_server(serve, LOCAL, 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(UnreachableError):
                await echo(hub.host(port), hub.settings(hub.host_key, port))
        return came

    assert asyncio.run(connecting()) == 1


def test_an_sshd_that_is_just_started_again_is_asked_again(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody listens, somebody may in a moment: it is not unreachable at once."""
    monkeypatch.setattr(network, "_RESTART_SECONDS", 60)

    async def connecting() -> str:
        async with hub.server() as port, Door(port).opened(later=True) as (outer, server):

            def pauses() -> Iterator[float]:
                yield 0.001  # a second try finds nobody, too
                starting = asyncio.ensure_future(server.start_serving())
                while True:
                    assert not starting.done() or starting.exception() is None
                    yield 0.001

            monkeypatch.setattr(network, "_pauses", pauses)
            return await echo(hub.host(outer), hub.settings(hub.host_key, outer))

    assert asyncio.run(connecting()) == "here"


async def until(what: Callable[[], bool]) -> None:
    """Let others go on until something is so."""
    while not what():  # noqa: ASYNC110 (nobody would set an event)
        await asyncio.sleep(0)


def behind(hub: Hub, gate: int, *ports: int) -> tuple[SshSettings, list[Host]]:
    """Hosts behind a jump host at a port, and the settings that trust all of them."""
    (hub.folder / "config").write_text(f"Host *\nIdentityFile {hub.folder}/id\n")
    hosts = [
        replace(hub.host(port, jump=f"root@{LOCAL}:{gate}"), name=f"h{port}") for port in ports
    ]
    return hub.settings(hub.host_key, gate, *ports), hosts


@pytest.mark.usefixtures("impatient")
def test_a_jump_host_is_logged_in_to_once_for_all_hosts_behind_it(hub: Hub) -> None:
    """Sixty hosts behind one that refuses its first connections: all answer, over one login."""

    async def connecting() -> list[str]:
        async with hub.server() as bastion, hub.server() as port:
            door = Door(bastion, 3)
            async with door.opened() as (gate, _):
                settings, hosts = behind(hub, gate, *[port] * 60)
                said = await asyncio.gather(*(echo(host, settings) for host in hosts))
            assert door.came == 4
            assert hub.jumps == [(LOCAL, port)] * 60
            assert len(hub.connections) == 61
            return said

    assert asyncio.run(connecting()) == ["here"] * 60


def test_a_jump_hosts_connection_ends_with_the_last_who_goes_through_it(hub: Hub) -> None:
    """Nothing is left open, and the next who comes logs in anew."""

    async def connecting() -> None:
        async with hub.server() as gate, hub.server() as port:
            settings, (host,) = behind(hub, gate, port)
            for logins in (1, 2):
                assert await echo(host, settings) == "here"
                await asyncio.gather(*(one.wait_closed() for one in hub.connections))
                assert len(hub.connections) == 2 * logins
        assert network._SHARED == {}

    asyncio.run(connecting())


def test_one_host_that_leaves_takes_the_jump_host_from_nobody(hub: Hub) -> None:
    """Who opened the shared connection may be cut off, and the others go on with it."""

    async def connecting() -> None:
        async with hub.server() as gate, hub.server() as port:
            settings, (first, second) = behind(hub, gate, port, port)
            opening = asyncio.ensure_future(echo(first, settings))
            await until(lambda: bool(network._SHARED))
            other = asyncio.ensure_future(echo(second, settings))
            await until(lambda: next(iter(network._SHARED.values()))[0].users == 2)
            opening.cancel()
            assert await other == "here"
            assert opening.cancelled()

    asyncio.run(connecting())


def test_a_jump_host_that_is_lost_is_logged_in_to_again(hub: Hub) -> None:
    """A connection that ended is nobody's way any more, though somebody has not left it yet."""

    async def connecting() -> None:
        async with hub.server() as gate, hub.server() as port:
            settings, (host,) = behind(hub, gate, port)
            async with open_ssh(host, settings) as executor:
                hub.connections[0].abort()
                with pytest.raises(UnreachableError):
                    await executor.run(("cat",), deadline=60)
                assert await echo(host, settings) == "here"

    asyncio.run(connecting())


def test_a_jump_host_carries_so_many_and_not_more(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each host is a file descriptor in the jump host's sshd: for many there is another login."""
    monkeypatch.setattr(network, "_MOST_THROUGH", 2)

    async def connecting() -> None:
        async with hub.server() as gate, hub.server() as port:
            settings, hosts = behind(hub, gate, *[port] * 5)
            assert await asyncio.gather(*(echo(host, settings) for host in hosts)) == ["here"] * 5
            assert len(hub.connections) == 5 + 3

    asyncio.run(connecting())


def test_a_jump_host_that_fails_is_each_hosts_own_error(hub: Hub) -> None:
    """All who wait for it learn why, each in an error of its own: steps are noted in them."""

    async def connecting() -> list[object]:
        async with hub.server() as gate, hub.server() as port:
            _, hosts = behind(hub, gate, port, port)
            found = (echo(host, hub.settings(hub.host_key, port)) for host in hosts)
            return await asyncio.gather(*found, return_exceptions=True)

    first, second = asyncio.run(connecting())
    assert isinstance(first, StepError)
    assert isinstance(second, StepError)
    assert first is not second
    assert first.message == second.message
    assert "jump host once by hand: ssh" in str(first.hint)
    assert first.command == second.command
