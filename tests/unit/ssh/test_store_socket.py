"""What moves over a host's store on a local socket, over real SSH."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import socket
from pathlib import Path

import asyncssh
import pytest
from test_ssh import Hub, play

from orchestrator.ssh.executor import SshExecutor

DAEMON = "nix-daemon --stdio"
IGNORE = 2
"""``SSH_MSG_IGNORE``."""


class Store(Hub):
    """A host whose Nix daemon reads to the end, and says what that was."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.began = asyncio.Event()

    async def _handle(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        if process.command != DAEMON:
            await super()._handle(process)
            return
        self.commands.append(DAEMON)
        self.began.set()
        digest = hashlib.sha256()
        while data := await process.stdin.read(1 << 16):
            digest.update(data)
        process.stdout.write(digest.hexdigest().encode())
        process.exit(0)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A host with a store."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return Store(tmp_path)


async def talk(store: str, data: bytes) -> bytes:
    """Send to a store's socket, and hear its answer."""
    reader, writer = await asyncio.open_unix_connection(store.removeprefix("unix://"))
    writer.write(data)
    await writer.drain()
    writer.write_eof()
    said = await reader.read()
    writer.close()
    return said


def test_every_client_talks_to_a_daemon_of_its_own(hub: Hub) -> None:
    """Megabytes arrive as they were sent, from several clients at once, in both directions."""

    async def scene(executor: SshExecutor) -> None:
        sent = [os.urandom(3_000_001), b"", os.urandom(700)]
        async with executor.nix_store() as store:
            said = await asyncio.gather(*(talk(store, data) for data in sent))
        assert said == [hashlib.sha256(data).hexdigest().encode() for data in sent]
        assert hub.commands == [DAEMON] * len(sent)
        assert not Path(store.removeprefix("unix://")).parent.exists()

    play(hub, scene)


def test_a_store_that_is_left_ends_who_talks_to_it(hub: Store) -> None:
    """A client that is still there when the copy is given up sees the end, and nothing waits."""

    async def scene(executor: SshExecutor) -> None:
        async with executor.nix_store() as store:
            path = store.removeprefix("unix://")
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"the beginning")
            await hub.began.wait()
        assert await reader.read() == b""
        writer.close()

    play(hub, scene)


def test_a_client_waits_until_a_file_may_be_opened_for_it(
    hub: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That too many files are open ends no copy that is under way, and keeps no later one out."""

    async def scene(executor: SshExecutor) -> None:
        loop = asyncio.get_running_loop()
        accept, refused = loop.sock_accept, asyncio.Event()

        async def once_more(listener: socket.socket) -> tuple[socket.socket, object]:
            if hub.began.is_set() and not refused.is_set():
                refused.set()
                raise OSError(errno.EMFILE, "Too many open files")
            return await accept(listener)

        monkeypatch.setattr(loop, "sock_accept", once_more)
        async with executor.nix_store() as store:
            reader, writer = await asyncio.open_unix_connection(store.removeprefix("unix://"))
            await hub.began.wait()
            said = [await talk(store, b"two"), await talk(store, b"three")]
            writer.write_eof()
            assert refused.is_set()
            assert [await reader.read(), *said] == [
                hashlib.sha256(data).hexdigest().encode() for data in (b"", b"two", b"three")
            ]
            writer.close()

    play(hub, scene)


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "aes128-ctr", "aes128-cbc"])
def test_only_a_cipher_that_needs_them_is_sent_empty_messages(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, cipher: str
) -> None:
    """Half of all packets are spared, but in CBC mode, where they protect what follows."""
    (hub.folder / "config").write_text(f"Ciphers {cipher}\n")
    by_us = []

    def ignored(receiver: asyncssh.connection.SSHConnection, *_: object) -> None:
        if receiver.is_server():
            by_us.append(cipher)

    monkeypatch.setitem(asyncssh.connection.SSHConnection._packet_handlers, IGNORE, ignored)
    listen = hub.server
    monkeypatch.setattr(hub, "server", lambda: listen(encryption_algs=[cipher]))

    async def scene(executor: SshExecutor) -> None:
        assert (await executor.run(("true",), deadline=9)).rc == 0

    play(hub, scene)
    assert bool(by_us) is cipher.endswith("-cbc")
