"""Whoever answers at a host's address and speaks no proper SSH: that host fails, and it alone."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest
from asyncssh.packet import Boolean, String, UInt32
from test_ssh import LOCAL, Hub

from orchestrator.core.errors import StepError, UnreachableError
from orchestrator.core.host import Fleet
from orchestrator.core.values import replace
from orchestrator.host.setup import Setup
from orchestrator.host.status import ask_all
from orchestrator.nix.flake import Flake
from orchestrator.ssh import network
from orchestrator.ssh.connect import connected
from orchestrator.ssh.executor import open_ssh
from orchestrator.ssh.settings import SshSettings
from orchestrator.ssh.trust import offered_key

VERSION = b"SSH-2.0-x\r\n"
ALGORITHMS = (
    b"curve25519-sha256",
    b"ssh-ed25519",
    *(b"aes128-gcm@openssh.com",) * 2,
    *(b"hmac-sha2-256",) * 2,
    *(b"none",) * 2,
    *(b"",) * 2,
)


def packet(payload: bytes) -> bytes:
    """A packet as it stands on the wire before keys were exchanged."""
    padding = 16 - (len(payload) + 5) % 8
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)


def kexinit(*algorithms: bytes) -> bytes:
    """The first packet, with lists of algorithms in it."""
    lists = b"".join(map(String, (*algorithms, *ALGORITHMS[len(algorithms) :])))
    return packet(b"\x14" + bytes(16) + lists + bytes(5))


def mutated(count: int) -> list[bytes]:
    """First packets with some bytes changed, and what may come behind them."""
    chance = random.Random(11)  # noqa: S311
    found = []
    for _ in range(count):
        whole = bytearray(kexinit())
        for _ in range(chance.choice((1, 1, 2, 5))):
            whole[chance.randrange(len(whole))] = chance.randrange(256)
        found.append(VERSION + bytes(whole) + bytes(chance.choice((0, 8, 64, 512))))
    return found


def reply(key: bytes, signature: bytes) -> bytes:
    """The answer that shows a host key."""
    return packet(b"\x1f" + String(key) + String(bytes(31) + b"\x09") + String(signature))


ED25519 = String("ssh-ed25519") + String(bytes(32))
NONSENSE = {
    "zeroes": VERSION + bytes(64),
    "version": b"SSH-2.0-\xff\xfe\r\n" + kexinit(),
    "escapes": b"SSH-2.0-\x1b[31m\0\r\n" + kexinit(),
    "names": VERSION + kexinit(b"\xff\xfe", b"\xff\xfe"),
    "ciphers": VERSION + kexinit(*ALGORITHMS[:2], b"\xff"),
    "cut": VERSION + kexinit()[:40],
    "short": VERSION + packet(b"\x14"),
    "empty": VERSION + packet(b""),
    "disconnect": VERSION + packet(b"\x01" + UInt32(2) + String(b"\xff") + String(b"\xff")),
    "no key": VERSION + kexinit() + reply(b"", b""),
    "half a key": VERSION + kexinit() + reply(ED25519[:-1], b"x"),
    "a key of no kind": VERSION + kexinit() + reply(String(b"\xff") + String(b""), String(b"\xff")),
    "no signature": VERSION + kexinit() + reply(ED25519, b""),
    **{f"mutation {number}": sent for number, sent in enumerate(mutated(60))},
}


@contextlib.asynccontextmanager
async def babbler(sent: bytes) -> AsyncIterator[int]:
    """A server that sends some bytes and closes; gives its port."""
    open_ones: list[asyncio.StreamWriter] = []

    def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.append(writer)
        writer.write(sent)
        asyncio.get_running_loop().call_later(0.05, writer.close)

    server = await asyncio.start_server(serve, LOCAL, 0)
    try:
        async with server:
            yield server.sockets[0].getsockname()[1]
    finally:
        for writer in open_ones:
            writer.transport.abort()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Make keys and files; nobody's own are looked at, and nobody is asked twice."""
    monkeypatch.setattr(network, "_FIRST_PAUSE", 3600)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return Hub(tmp_path)


async def failures(hub: Hub, sent: bytes) -> tuple[Exception | None, Exception | None]:
    """What a connection ends with, and what asking for the key does."""
    async with babbler(sent) as port:
        host, settings = hub.host(port), hub.settings(hub.host_key, port)
        found: list[Exception | None] = [None, None]
        try:
            async with connected(host, settings):
                pass
        except Exception as error:
            found[0] = error
        try:
            await offered_key(host, settings)
        except Exception as error:
            found[1] = error
        return found[0], found[1]


def test_whatever_answers_is_told_in_a_sentence(hub: Hub) -> None:
    """Malformed, cut, of another alphabet: a step's error each time, and no traceback."""

    async def all_of_them() -> dict[str, list[str]]:
        return {
            name: [type(one).__name__ for one in await failures(hub, sent) if one is not None]
            for name, sent in NONSENSE.items()
        }

    for name, kinds in asyncio.run(all_of_them()).items():
        assert kinds, name
        assert set(kinds) <= {"UnreachableError", "SilentError", "StepError"}, name


def test_it_is_told_that_nobody_speaks_proper_ssh_there(hub: Hub) -> None:
    """To who connects and to who asks for the key, where no better reason is known."""
    found = asyncio.run(failures(hub, NONSENSE["zeroes"]))
    for error in found:
        assert isinstance(error, UnreachableError)
        assert "it speaks no proper SSH (Incomplete packet)" in error.message


def test_a_name_that_is_none_is_told(hub: Hub) -> None:
    """A label that is empty: nobody can be asked, and it says so."""
    host = replace(hub.host(22), connect=replace(hub.host(22).connect, address="a..b"))

    async def connecting() -> None:
        async with connected(host, hub.settings(hub.host_key, 22)):
            pass

    with pytest.raises(UnreachableError, match="it is no host's name"):
        asyncio.run(connecting())


def test_the_other_hosts_are_listed_all_the_same(hub: Hub) -> None:
    """One that babbles among hosts that answer: each has its own line."""

    async def asking() -> list[str]:
        async with hub.server() as good, babbler(NONSENSE["zeroes"]) as bad:
            settings = hub.settings(hub.host_key, good, bad)
            hosts = [
                replace(hub.host(port), name=name)
                for name, port in (("first", good), ("bad", bad), ("last", good))
            ]
            fleet = Fleet("f", str(hub.folder), str(hub.folder), {one.name: one for one in hosts})
            setup = Setup(fleet, Flake(str(hub.folder), hub.folder), settings, hub.folder)
            answers = await ask_all(setup, hosts)
            return [f"{one.host.name} {one.error}" for one in answers]

    first, bad, last = asyncio.run(asking())
    assert first.startswith("first")
    assert "SSH" not in first
    assert "it speaks no proper SSH" in bad
    assert last.startswith("last")
    assert len(hub.commands) == 2


AFTER_LOGIN = {
    "empty data": (94, UInt32(0)),
    "cut data": (94, b"\0"),
    "request": (98, UInt32(0), String(b"\xff\xfe"), Boolean(True)),
    "exit status": (98, UInt32(0), String(b"exit-status"), Boolean(False)),
    "signal": (98, UInt32(0), String(b"exit-signal"), Boolean(False), *(String(b"\xff"),) * 3),
    "open": (90, String(b"\xff"), UInt32(1), UInt32(1), UInt32(1)),
    "global": (80, String(b"\xff\xfe"), Boolean(True)),
    "disconnect": (1, UInt32(2), String(b"\xff"), String(b"\xff")),
    "information": (7, UInt32(1), String(b"\xff"), String(b"\xff")),
    "kexinit": (20, b"x"),
    "nothing": (0,),
}


class Malformed(Hub):
    """Sends one malformed packet while a command runs."""

    packet: tuple[object, ...] = ()

    async def _handle(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        connection = process.channel.get_connection()
        if self.packet == (0,):
            connection._transport.write(bytes(64))  # type: ignore[union-attr]
        else:
            connection.send_packet(*self.packet)  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        process.exit(0)


@pytest.mark.parametrize("name", AFTER_LOGIN)
def test_nonsense_after_the_login_is_a_lost_connection(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a command, of a stream and of a new one: a step's error, whatever the host sends."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    hub = Malformed(tmp_path)
    hub.packet = AFTER_LOGIN[name]

    async def scene(settings: SshSettings, port: int, *, streamed: bool) -> None:
        async with open_ssh(hub.host(port), settings) as executor:
            with contextlib.suppress(StepError):
                if streamed:
                    async with executor.open(("cat",)) as stream:
                        await stream.stdout.read(10)
                await executor.run(("true",), deadline=5)
            with contextlib.suppress(StepError):
                await executor.run(("true",), deadline=5)

    async def both() -> None:
        async with hub.server() as port:
            for streamed in (False, True):
                await scene(hub.settings(hub.host_key, port), port, streamed=streamed)

    asyncio.run(both())
