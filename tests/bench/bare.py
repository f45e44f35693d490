"""asyncssh alone, beside which we are measured: one connection and one command each.

``python -m tests.bench.bare FOLDER PORT COUNT``: FOLDER is that of ``simulated.py``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import shlex
import sys
from pathlib import Path

from orchestrator.host import scripts
from orchestrator.ssh.lean import asyncssh

# As ``simulated.py`` has them, whose imports are no part of the floor.
QUESTION = shlex.join(scripts.script(scripts.STATE))
_FIRST = ipaddress.IPv4Address("127.1.0.1")
_AT_ONCE = 256


async def ask_all(folder: Path, port: int, count: int) -> None:
    """Ask every host; all that can be known beforehand is."""
    key = asyncssh.read_private_key(folder / "id")
    host_key = asyncssh.read_public_key(folder / "host.pub")
    gate = asyncio.Semaphore(_AT_ONCE)

    async def ask(number: int) -> None:
        async with (
            gate,
            asyncssh.connect(
                str(_FIRST + number),
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
