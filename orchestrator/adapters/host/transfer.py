"""From one host's store to another's, through this machine, which keeps nothing of it.

``nix copy --from unix://`` reads the files of *this* machine's store, so it cannot be used here.
``nix-store --export`` writes paths to a stream and ``--import`` reads them: nix-store(1).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from orchestrator.adapters.executor import Executor, pump
from orchestrator.adapters.host import scripts
from orchestrator.errors import StepError
from orchestrator.model.store import OutPath

BATCH = 500
"""Paths in one stream: a command line holds about 1,500."""


async def transfer(source: Executor, target: Executor, out: OutPath, deadline: float) -> None:
    """Copy a closure; paths that are valid at the target are not sent.

    Raises:
        StepError: Either side failed, or the deadline passed.
    """
    closure = await source.run(
        ("nix-store", "--query", "--requisites", out.path), deadline=deadline
    )
    if closure.rc != 0:
        raise StepError("the builder does not have what it built", stderr=closure.err)
    argv = scripts.script(scripts.MISSING)
    missing = await target.run(argv, deadline=deadline, stdin=closure.stdout)
    if missing.rc != 0:
        raise StepError("the host did not say which paths it lacks", stderr=missing.err)
    lacking = set(missing.out.split())
    # References come first in the closure, and so they do in the batches.
    paths = [path for path in closure.out.split() if path in lacking]
    try:
        async with asyncio.timeout(deadline):
            for begin in range(0, len(paths), BATCH):
                await _send(source, target, paths[begin : begin + BATCH])
    except TimeoutError:
        raise StepError(f"copying from the builder took more than {deadline:.0f} s") from None


async def _send(source: Executor, target: Executor, paths: Sequence[str]) -> None:
    async with (
        source.open(("nix-store", "--export", *paths)) as export,
        target.open(scripts.script(scripts.IMPORT)) as import_,
    ):
        up = asyncio.create_task(pump(export.stdout, import_.stdin))
        try:
            # What it prints must be read, or it would wait for room.
            while await import_.stdout.read(1 << 16):
                pass
            await up
            codes = (await export.wait(), await import_.wait())
        finally:
            up.cancel()
            await asyncio.gather(up, return_exceptions=True)
    if codes != (0, 0):
        raise StepError(
            f"the copy from the builder failed (export {codes[0]}, import {codes[1]})",
            command=source.repeat(("nix-store", "--verify-path", *paths[:1])),
        )
