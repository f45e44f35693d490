"""Run ``nix-store --export`` and have its output read in a thread."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import BinaryIO

from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.deploy.copy.export_format import MalformedExportError


async def export(paths: Sequence[str], take: Callable[[BinaryIO], None]) -> None:
    """Export paths of this machine's store.

    Args:
        paths: Fewer than a command line holds.
        take: Reads the output to its end, in a thread.

    Raises:
        StepError: Nix failed, or what it wrote could not be taken in.
    """
    argv = ("nix-store", "--export", *paths)
    read_end, write_end = os.pipe()
    output = os.fdopen(read_end, "rb", buffering=1 << 20)

    def read() -> None:
        # Nix ends once nobody reads; this thread ends once Nix has.
        with output:
            take(output)

    reading: asyncio.Task[None] | None = None
    try:
        async with AsyncExitStack() as stack:
            try:
                child = await stack.enter_async_context(process.started(argv, stdout=write_end))
            finally:
                os.close(write_end)
            reading = asyncio.create_task(asyncio.to_thread(read))
            assert child.stdin is not None
            assert child.stderr is not None
            child.stdin.close()
            said = await child.stderr.read()
            rc = await child.wait()
    finally:
        if reading is None:
            output.close()
        else:
            await asyncio.wait((reading,))
    _judge(reading.exception(), rc, said.decode(errors="replace").strip())


def _judge(error: BaseException | None, rc: int, said: str) -> None:
    """Raise what explains best why an export failed."""
    command = "nix-store --verify --check-contents"
    match error:
        case None if rc == 0:
            return
        case OSError():
            raise StepError(
                f"what is to be copied could not be set aside: {error.strerror}",
                hint="is the disk full that holds the state folder? --copy connection needs none"
                if error.errno == errno.ENOSPC
                else None,
            ) from error
        case None | MalformedExportError():
            because = f": {error}" if error is not None and not said else ""
            raise StepError(
                f"nix-store --export failed ({process.how_it_ended(rc)}){because}",
                hint="is a path of the system damaged here? the command below finds it",
                command=command,
                stderr=said,
            ) from error
        case _:
            raise error
