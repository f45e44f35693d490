"""asyncssh alone, beside which we are measured: one connection and one command each.

``python -m tests.bench.bare FOLDER PORT COUNT``: FOLDER is that of ``simulated.py``.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from orchestrator.core.host import Limits
from orchestrator.ssh.lean import asyncssh
from tests.bench.simulated import QUESTION, address


async def ask_all(folder: Path, port: int, count: int) -> None:
    """Ask every host; all that can be known beforehand is."""
    key = asyncssh.read_private_key(folder / "id")
    host_key = asyncssh.read_public_key(folder / "host.pub")
    gate = asyncio.Semaphore(Limits().connections)

    async def ask(number: int) -> None:
        async with (
            gate,
            asyncssh.connect(
                address(number),
                port,
                config=None,
                username="root",
                client_keys=[key],
                agent_path=None,
                known_hosts=([host_key], [], []),
                kex_algs=["curve25519-sha256"],
                encryption_algs=["aes128-gcm@openssh.com"],
            ) as connection,
        ):
            await connection.run(QUESTION, encoding=None, check=True)

    await asyncio.gather(*(ask(number) for number in range(count)))


if __name__ == "__main__":
    asyncio.run(ask_all(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
