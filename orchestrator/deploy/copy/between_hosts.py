"""From one host's store to another's, through this machine, which keeps nothing of it.

``nix copy --from unix://`` reads the files of *this* machine's store, so it cannot be used here.
``nix-store --export`` writes paths to a stream and ``--import`` reads them: nix-store(1).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor, Stream
from orchestrator.core.lines import split_lines
from orchestrator.core.store import OutPath, StorePath
from orchestrator.deploy.copy.closure import ask
from orchestrator.deploy.copy.codec import Codec
from orchestrator.deploy.copy.stream import OnProgress, Sent, take_in
from orchestrator.host import scripts

BATCH = 500
"""Paths in one stream: a command line holds about 1,500."""


async def between_hosts(
    source: Executor, target: Executor, out: OutPath, on_progress: OnProgress
) -> Sent:
    """Copy a closure; paths that are valid at the target are not sent.

    Raises:
        StepError: Either side failed.
        UnreachableError: A connection was lost.
    """
    argv = ("nix-store", "--query", "--requisites", out.path)
    closure = await source.run(argv, deadline=300)
    if closure.rc != 0:
        raise StepError(
            "the builder does not have what it built",
            command=source.repeat(argv),
            stderr=closure.err,
        )
    paths, undoes = await ask(target, out.path, _store_paths(closure.out))
    _, does = await ask(source, out.path, ())
    codec = next((codec for codec in undoes if codec in does), None)
    if codec is None:
        raise StepError("the builder and the host have neither zstd nor gzip in common")
    sent = Sent()
    for begin in range(0, len(paths), BATCH):
        await _send(source, target, codec, paths[begin : begin + BATCH], sent, on_progress)
    return sent


def _store_paths(text: str) -> list[str]:
    """Read a builder's word: what is no path of the store could be an option at the target."""
    try:
        return [StorePath.parse(line).path for line in split_lines(text)]
    except ValueError as error:
        raise StepError(f"the builder named what is in no store: {error}") from None


async def _send(
    source: Executor,
    target: Executor,
    codec: Codec,
    paths: Sequence[str],
    sent: Sent,
    on_progress: OnProgress,
) -> None:
    async with source.open(scripts.script(scripts.GIVE_OUT, codec.value, *paths)) as given:
        frames = _frames(given, source.repeat(("nix-store", "--verify-path", *paths[:1])))
        await take_in(target, codec, frames, sent, on_progress)
    sent.paths += len(paths)


async def _frames(given: Stream, command: str) -> AsyncIterator[bytes]:
    while data := await given.stdout.read(1 << 18):
        yield data
    if (rc := await given.wait()) != 0:
        raise StepError(f"the builder did not give the paths out (exit {rc})", command=command)
