"""The ways of copying: one compressed stream, Nix's own protocol, from a builder through here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from orchestrator.core.bounds import ANSWER, Intake, TooMuchError
from orchestrator.core.errors import StepError, UnreachableError
from orchestrator.core.executor import Executor, Sink, Source, Stream
from orchestrator.core.process import how_it_ended
from orchestrator.core.store import OutPath, StorePath
from orchestrator.core.units import split_lines
from orchestrator.deploy.copy.closure import ask
from orchestrator.deploy.copy.spool import Codec, Spool, WantedPath
from orchestrator.host import scripts
from orchestrator.nix import verbs as nix
from orchestrator.nix.verbs import OnLine


async def over_connection(
    executor: Executor, out: OutPath, *, deadline: float, by_hand: str, on_stderr: OnLine
) -> None:
    """Copy a closure over the open connection.

    Args:
        executor: The way to the host.
        out: The closure's root.
        deadline: Seconds.
        by_hand: A store URL for the command that a person repeats it by: ours is gone by then.
        on_stderr: Called with each line of Nix's.

    Raises:
        StepError: The copy failed.
    """
    async with executor.nix_store() as store:
        try:
            await nix.copy(out, to=store, deadline=deadline, on_stderr=on_stderr)
        except StepError as error:
            _explain(error)
            error.command = (error.command or "").replace(store, by_hand)
            raise


def _explain(error: StepError) -> None:
    if "protocol mismatch" in error.stderr:
        error.hint = (
            "the login shell prints text where Nix is to speak: "
            "have its start-up files print for interactive shells only"
        )


_SAID = 1 << 16
"""Bytes kept of what the host says."""


@dataclass(slots=True)
class Sent:
    """How far a stream is: whole paths, and bytes on the link."""

    paths: int = 0
    bytes: int = 0


OnProgress = Callable[[Sent], None]


async def stream(
    executor: Executor, spool: Spool, wanted: Sequence[WantedPath], on_progress: OnProgress
) -> Sent:
    """Send paths; each is valid on the host once it is there whole.

    Args:
        executor: The way to the host.
        spool: Where the paths' frames come from; of a codec that the host can undo.
        wanted: What the host lacks, references first.
        on_progress: Called after each piece that was sent.

    Raises:
        StepError: Reading here or registering there failed.
        UnreachableError: The connection was lost.
    """
    spool.want(wanted)
    sent = Sent()
    await take_in(executor, spool.codec, _frames(spool, wanted, sent), sent, on_progress)
    return sent


async def _frames(spool: Spool, wanted: Sequence[WantedPath], sent: Sent) -> AsyncIterator[bytes]:
    for one in wanted:
        async for data in spool.chunks(one.path):
            yield data
        sent.paths += 1
    yield spool.end


async def take_in(
    executor: Executor,
    codec: Codec,
    frames: AsyncIterator[bytes],
    sent: Sent,
    on_progress: OnProgress,
) -> None:
    """Have a host register what a compressed export holds.

    Args:
        executor: The way to the host.
        codec: How the export is compressed.
        frames: The export.
        sent: Counts the bytes.
        on_progress: Called after each piece.

    Raises:
        StepError: The host did not take it in.
        UnreachableError: The connection was lost.
    """
    async with executor.open(scripts.script(scripts.TAKE_IN, codec.value)) as host:
        sending = asyncio.create_task(_send(host.stdin, frames, sent, on_progress))
        try:
            said = await _listen(host.stdout, sending)
            rc = await host.wait()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    _judge(executor, rc, said)


async def _send(
    sink: Sink, frames: AsyncIterator[bytes], sent: Sent, on_progress: OnProgress
) -> None:
    async for data in frames:
        # Where the host reads no more, it says why, and that is what counts.
        try:
            sink.write(data)
            await sink.drain()
        except OSError:
            return
        sent.bytes += len(data)
        on_progress(sent)
    with contextlib.suppress(OSError):
        sink.write_eof()


async def _listen(source: Source, sending: asyncio.Task[None]) -> str:
    """Hear what the host says until its end, or until there is nothing more to send to it."""
    hearing = asyncio.create_task(_all(source))
    try:
        await asyncio.wait((hearing, sending), return_when=asyncio.FIRST_COMPLETED)
        if sending.done() and (error := sending.exception()) is not None:
            raise error
        return await hearing
    finally:
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)


async def _all(source: Source) -> str:
    said = Intake(ANSWER, _SAID)
    try:
        while data := await source.read(1 << 16):
            said.take(data)
    except TooMuchError as error:
        raise StepError(
            f"the host sent {error} in answer to the copy, and was cut off",
            hint="what came whole is kept there",
        ) from None
    return said.taken.decode(errors="replace").strip()


def _judge(executor: Executor, rc: int | None, said: str) -> None:
    if rc == 0:
        return
    command = executor.repeat(("nix-store", "--verify"))
    if rc is None:
        raise UnreachableError("the connection was lost during the copy", command=command)
    hint = "the host's disk is full: nix-collect-garbage there" if "No space" in said else None
    raise StepError(
        f"the host did not take the paths in: {_cause(said) or how_it_ended(rc)}",
        hint=hint or "what came whole is kept there; the next try sends the rest",
        command=command,
        stderr=said,
    )


def _cause(said: str) -> str | None:
    errors = [line for line in split_lines(said) if line.startswith("error:")]
    return errors[-1].removeprefix("error:").strip() if errors else None


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
        await _send_between(source, target, codec, paths[begin : begin + BATCH], sent, on_progress)
    return sent


def _store_paths(text: str) -> list[str]:
    """Read a builder's word: what is no path of the store could be an option at the target."""
    try:
        return [StorePath.parse(line).path for line in split_lines(text)]
    except ValueError as error:
        raise StepError(f"the builder named what is in no store: {error}") from None


async def _send_between(
    source: Executor,
    target: Executor,
    codec: Codec,
    paths: Sequence[str],
    sent: Sent,
    on_progress: OnProgress,
) -> None:
    async with source.open(scripts.script(scripts.GIVE_OUT, codec.value, *paths)) as given:
        frames = _frames_between(given, source.repeat(("nix-store", "--verify-path", *paths[:1])))
        await take_in(target, codec, frames, sent, on_progress)
    sent.paths += len(paths)


async def _frames_between(given: Stream, command: str) -> AsyncIterator[bytes]:
    while data := await given.stdout.read(1 << 18):
        yield data
    if (rc := await given.wait()) != 0:
        raise StepError(f"the builder did not give the paths out (exit {rc})", command=command)
