"""What our ways of copying are held against: a pipe through OpenSSH, and Nix's own two ways.

All three go over one connection of OpenSSH's that is open already, as ours is: none pays for a
login.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.store import OutPath
from tests.bench.bench_lab import NIX

RAW, SSH_NG, SSH = "raw pipe", "ssh-ng://", "ssh://"
Copy = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class OpenSsh:
    """An open connection.

    Attributes:
        options: What every ``ssh`` is given to use it.
        place: Whom it leads to.
        folder: Where what is sent through a pipe is written before.
    """

    options: tuple[str, ...]
    place: str
    folder: Path

    def contenders(self, root: OutPath, size: int) -> dict[str, Copy]:
        """Each of the three, for a closure of so many bytes."""
        blob = self.folder / f"raw-{size}"
        if not blob.exists():
            with blob.open("wb") as end:
                for begin in range(0, size, 1 << 20):
                    end.write(os.urandom(min(1 << 20, size - begin)))
        pipe = f"cat {blob} | {shlex.join(('ssh', *self.options, self.place))} 'cat > /nix/raw'"
        return {
            RAW: lambda: _ran(("sh", "-c", pipe)),
            SSH_NG: lambda: self._nix_copy(root, "ssh-ng"),
            SSH: lambda: self._nix_copy(root, "ssh"),
        }

    async def _nix_copy(self, root: OutPath, scheme: str) -> None:
        store = f"{scheme}://{self.place}"
        argv = (*NIX, "copy", "--no-check-sigs", "--to", store, root.path)
        await _ran(argv, NIX_SSHOPTS=shlex.join(self.options))


@contextlib.asynccontextmanager
async def open_ssh_client(
    config: Path, known_hosts: Path, address: str, folder: Path
) -> AsyncIterator[OpenSsh]:
    """Open a connection by ``ssh`` itself, for as long as the context."""
    socket = folder / f"master-{config.name}"
    options = ("-F", str(config), "-o", f"UserKnownHostsFile={known_hosts}", "-S", str(socket))
    place = f"root@{address}"
    await _ran(("ssh", *options, "-M", "-N", "-f", place))
    try:
        yield OpenSsh((*options, "-o", "ControlMaster=no"), place, folder)
    finally:
        await _ran(("ssh", *options, "-O", "exit", place))


async def _ran(argv: tuple[str, ...], **more: str) -> None:
    # To nowhere: a master that stays would keep a pipe open.
    null = asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec(
        *argv, env={**os.environ, **more}, stdin=null, stdout=null, stderr=null
    )
    assert await child.wait() == 0, shlex.join(argv)
