"""A host that sends without end, over SSH: it alone fails, and memory stays flat."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import asyncssh
import pytest
from peak import PEAK
from test_ssh import Hub, play

from orchestrator.core.bounds import ANSWER
from orchestrator.core.errors import StepError, UnreachableError
from orchestrator.ssh.executor import SshExecutor, open_ssh

FLOODS = {
    "zeroes": bytes(1 << 15),
    "lines": b"\n" * (1 << 15),
    "errors": bytes(1 << 15),
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A server on which some commands never stop sending."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return Flooding(tmp_path)


class Flooding(Hub):
    """Counts what it could send."""

    sent = 0

    async def _handle(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        if process.command not in FLOODS:
            await super()._handle(process)
            return
        piece = FLOODS[process.command]
        stream = process.stderr if process.command == "errors" else process.stdout
        with contextlib.suppress(asyncssh.Error, OSError):
            while True:
                stream.write(piece)
                self.sent += len(piece)
                await stream.drain()


@pytest.mark.parametrize(
    ("flood", "said"),
    [("zeroes", "16 MiB"), ("errors", "16 MiB"), ("lines", "200000 lines")],
)
def test_a_host_that_floods_is_cut_off(hub: Flooding, flood: str, said: str) -> None:
    """With a sentence, a hint and a command; the connection is of use afterwards."""

    async def scene(executor: SshExecutor) -> None:
        with pytest.raises(StepError, match=f"the host sent more than {said}") as caught:
            await executor.run((flood,), deadline=60)
        assert not isinstance(caught.value, UnreachableError)
        assert "ForceCommand" in str(caught.value.hint)
        assert str(caught.value.command).endswith("true | head -c 1000")
        assert (await executor.run(("echo", "well"), deadline=60)).out == "well"
        # What was on its way when it was cut off is the channel's window, twice.
        assert hub.sent < ANSWER.size + (16 << 20)

    play(hub, scene)


DEPLOYER = """
import asyncio, sys
from orchestrator.ssh.executor import open_ssh
from orchestrator.ssh.settings import SshSettings
from orchestrator.core.errors import StepError
from orchestrator.core.host import Connect, Host
port, folder = sys.argv[1:]
host = Host("p620", "p620", Connect("127.0.0.1", "root", int(port), identity=folder + "/id"))
settings = SshSettings(config=folder + "/config", known_hosts=folder + "/known_hosts")
async def main():
    async with open_ssh(host, settings) as executor:
        await executor.run(("true",), deadline=60)
        print(peak())
        for _ in range(6):
            try:
                await executor.run(("zeroes",), deadline=60)
            except StepError as error:
                assert "more than 16 MiB" in error.message, error
        print(peak())
asyncio.run(main())
"""


def test_memory_stays_flat_while_a_host_floods(hub: Flooding) -> None:
    """However much it sends and however often: what is held is one answer."""

    async def deploying() -> tuple[bytes, bytes]:
        async with hub.server() as port:
            hub.settings(hub.host_key, port)
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", PEAK + DEPLOYER, str(port), str(hub.folder)),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            return await child.communicate()

    out, err = asyncio.run(deploying())
    assert len(out.split()) == 2, err.decode()
    before, after = map(int, out.split())
    assert after - before < 64


@pytest.mark.parametrize("config", ["", "Host *\n  Compression yes\n"])
def test_nothing_is_unpacked_that_a_host_packed(hub: Flooding, config: str) -> None:
    """A packet of zeroes would unpack to a thousand times its size: compression is not offered."""

    async def connecting() -> None:
        async with hub.server(compression_algs=["zlib@openssh.com"]) as port:
            settings = hub.settings(hub.host_key, port)
            (hub.folder / "config").write_text(config)
            async with open_ssh(hub.host(port), settings):
                pass

    with pytest.raises(StepError, match="compression"):
        asyncio.run(connecting())
