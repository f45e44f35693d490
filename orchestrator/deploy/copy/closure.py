"""What a host lacks of a closure; what a link gives."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor, Stream
from orchestrator.core.run import Load, Sample
from orchestrator.core.store import OutPath
from orchestrator.core.units import split_lines
from orchestrator.deploy.copy.spool import Codec, WantedPath
from orchestrator.host import scripts

_SECONDS = 300.0
_BATCH = 5000


@dataclass(frozen=True, slots=True)
class Lacking:
    """What a host lacks of a closure.

    Attributes:
        paths: In an order in which references come first.
        codecs: What the host can undo, the best first.
    """

    paths: tuple[WantedPath, ...]
    codecs: tuple[Codec, ...]

    @property
    def load(self) -> Load:
        """How much it is."""
        return Load(len(self.paths), sum(one.size for one in self.paths))


async def lacking(executor: Executor, out: OutPath) -> Lacking:
    """Ask a host, in one command, what it lacks of a closure that is in the store here.

    Raises:
        StepError: The closure is not whole here, or the host did not answer.
        UnreachableError: The connection was lost.
    """
    paths, codecs = await ask(executor, out.path, await closure_of(out))
    return await sized(paths, codecs)


async def closure_of(out: OutPath) -> list[str]:
    """Name the paths of a closure that is in the store here; references come first.

    Raises:
        StepError: It is not whole here.
    """
    return split_lines(await _nix_store("--query", "--requisites", out.path))


async def references_of(paths: Sequence[str]) -> frozenset[str]:
    """Name the paths that some in the store here refer to themselves.

    Raises:
        StepError: One of them is not whole here.
    """
    return frozenset(split_lines(await _nix_store("--query", "--references", *paths)))


async def sized(paths: Sequence[str], codecs: tuple[Codec, ...]) -> Lacking:
    """Look up how large paths are that a host lacks and the store here has.

    Raises:
        StepError: The store here has not.
    """
    sizes: list[int] = []
    for begin in range(0, len(paths), _BATCH):
        said = await _nix_store("--query", "--size", *paths[begin : begin + _BATCH])
        sizes += [int(number) for number in split_lines(said)]
    wanted = tuple(WantedPath(path, size) for path, size in zip(paths, sizes, strict=True))
    return Lacking(wanted, codecs)


async def ask(
    executor: Executor, root: str, closure: Sequence[str]
) -> tuple[list[str], tuple[Codec, ...]]:
    """Which of a closure's paths a host lacks, in the closure's order, and what it can undo.

    It lacks none where the root is valid there: Nix registers no path before its references.

    Raises:
        StepError: The host did not answer.
        UnreachableError: The connection was lost.
    """
    argv = scripts.script(scripts.LACKING, root)
    done = await executor.run(argv, deadline=_SECONDS, stdin="\n".join(closure).encode())
    if done.rc != 0:
        raise StepError(
            "the host did not say which paths it lacks",
            command=executor.repeat(("nix-store", "--check-validity", root)),
            stderr=done.err,
        )
    return understood(split_lines(done.out), closure)


def understood(
    lines: Collection[str], closure: Sequence[str]
) -> tuple[list[str], tuple[Codec, ...]]:
    """Read what ``LACKING`` printed, whatever a login shell printed beside it.

    Returns:
        The paths that are lacking, in the closure's order, and what the host can undo.
    """
    said = frozenset(lines)
    codecs = tuple(codec for codec in Codec if f"{scripts.UNDOES} {codec.value}" in said)
    return [path for path in closure if path in said], codecs


async def _nix_store(*words: str) -> str:
    done = await process.run(("nix-store", *words), deadline=_SECONDS)
    if done.rc != 0:
        raise StepError(
            "the closure could not be read",
            command="nix-store --verify",
            stderr=done.err,
        )
    return done.out


ENOUGH = 0.05
"""Seconds of sending, beyond a round trip, that tell the rate."""
SMALLEST = 1 << 16
LARGEST = 1 << 23
REPEATS = 2
_DEADLINE = 20.0


async def probe(executor: Executor, *, at_most: int = LARGEST) -> Sample:
    """Measure a host's link: four times as many bytes each time, until that takes a while.

    Args:
        executor: The way to the host.
        at_most: Bytes to send at a time.

    Raises:
        StepError: The host did not answer in time.
        UnreachableError: The connection was lost.
    """
    try:
        async with (
            asyncio.timeout(_DEADLINE),
            executor.open(scripts.script(scripts.SWALLOW)) as host,
        ):
            await _swallowed(host, 1)  # the shell is there now
            round_trip = min([await _swallowed(host, 1) for _ in range(2)])
            size = SMALLEST
            while (took := await _swallowed(host, size)) - round_trip < ENOUGH:
                if size * 4 > min(at_most, LARGEST):
                    break
                size *= 4
            # The best of several: what else the machines do is not the link.
            took = min([took, *[await _swallowed(host, size) for _ in range(REPEATS)]])
    except TimeoutError:
        raise StepError("the link to the host could not be measured") from None
    return Sample(datetime.now(UTC), None, 0, size, max(took - round_trip, 1e-4), round_trip)


async def _swallowed(host: Stream, size: int) -> float:
    """Seconds until the host has so many bytes and says so."""
    data = f"{size}\n".encode() + os.urandom(size)
    began = time.perf_counter()
    host.stdin.write(data)
    await host.stdin.drain()
    while (said := await host.stdout.read(1)) not in (b"", b"."):
        pass
    if not said:
        raise StepError("the host's shell ended while the link was measured")
    return time.perf_counter() - began
