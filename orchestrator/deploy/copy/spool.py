"""What is streamed: read and compressed once for all hosts of a run."""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import tempfile
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, BinaryIO, Protocol, assert_never

from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.deploy.copy.export_format import END, MalformedExportError, split


class Frame(Protocol):
    """One frame under way."""

    def compress(self, data: bytes, /) -> bytes:
        """Take bytes in, give compressed ones out."""

    def flush(self) -> bytes:
        """End the frame."""


class Codec(Enum):
    """How a stream is compressed; the value is the program that undoes it."""

    ZSTD = "zstd"
    GZIP = "gzip"

    def frame(self) -> Frame:
        """Begin a frame, at the level that costs the least."""
        match self:
            case Codec.ZSTD:
                import zstandard

                return zstandard.ZstdCompressor(level=1).compressobj()
            case Codec.GZIP:
                return zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS | 16)
            case _:
                assert_never(self)

    def whole(self, data: bytes) -> bytes:
        """One frame that holds just these bytes."""
        frame = self.frame()
        return frame.compress(data) + frame.flush()


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


BATCH = 5000
"""Paths in one export: a command line holds about 20,000."""
LARGE = 1 << 25
"""A path of so many bytes has an export of its own: hosts are sent its beginning meanwhile."""
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class WantedPath:
    """A store path to send, and its size as NAR in bytes."""

    path: str
    size: int


@dataclass(slots=True)
class _Place:
    """Where a path's frame is in the file, as far as it is written; or why it never will be."""

    begin: int = 0
    end: int = 0
    whole: bool = False
    error: StepError | None = None


class Spool:
    """Frames of one codec, in a file without a name in the given folder.

    Close it at the end: what is still being read is stopped then.
    """

    def __init__(self, folder: Path, codec: Codec) -> None:
        self.codec = codec
        self.end = codec.whole(END)
        self._folder = folder
        self._places: dict[str, _Place] = {}
        self._grown = asyncio.Event()
        self._reading: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._opened: IO[bytes] | None = None
        self._size = 0

    async def close(self) -> None:
        """Stop, and give the room back."""
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)
        if self._opened is not None:
            self._opened.close()

    def want(self, paths: Sequence[WantedPath]) -> None:
        """Have paths read that are neither read nor being read already."""
        new = [one for one in paths if self._is_new(one.path)]
        if not new:
            return
        self._places.update({one.path: _Place() for one in new})
        task = asyncio.create_task(self._read(new))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    def _is_new(self, path: str) -> bool:
        place = self._places.get(path)
        return place is None or place.error is not None

    async def chunks(self, path: str) -> AsyncIterator[bytes]:
        """Give a wanted path's frame, piece by piece, as it grows.

        Raises:
            StepError: It could not be read.
        """
        place, sent = self._places[path], 0
        while True:
            grown, whole = self._grown, place.whole
            while (left := place.end - place.begin - sent) > 0:
                data = os.pread(self._file.fileno(), min(_CHUNK, left), place.begin + sent)
                sent += len(data)
                yield data
            if whole:
                return
            if place.error is not None:
                raise place.error
            await grown.wait()

    @property
    def _file(self) -> IO[bytes]:
        if self._opened is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._opened = tempfile.TemporaryFile(  # noqa: SIM115 (close() closes it)
                dir=self._folder, buffering=0
            )
        return self._opened

    async def _read(self, wanted: Sequence[WantedPath]) -> None:
        error = StepError("what is to be copied was not read to its end")
        loop = asyncio.get_running_loop()
        try:
            async with self._turn:  # the file has one end
                for batch in batches(wanted):
                    await export(batch, functools.partial(self._take, batch, loop))
        except StepError as found:
            error = found
        finally:
            for one in wanted:
                place = self._places[one.path]
                place.error = None if place.whole else error
            self._tell()

    def _take(
        self, batch: Sequence[str], loop: asyncio.AbstractEventLoop, output: BinaryIO
    ) -> None:
        """Compress an export into the file; this runs in a thread."""
        begin = self._size
        # Which path it is, an export tells after the path; small ones can be waited for.
        growing = self._places[batch[0]] if len(batch) == 1 else None
        if growing is not None:
            growing.begin = begin
            growing.end = begin

        def append(data: bytes) -> None:
            self._size += _write(self._file, data)
            if growing is not None:
                growing.end = self._size
                loop.call_soon_threadsafe(self._tell)

        frames = _Frames(self.codec, append)
        for path in split(output.read, frames.write):
            frames.end()
            place = self._places.get(path)
            if place is None:
                raise MalformedExportError(f"{path}, which was not asked for")
            # In this order: whoever looks meanwhile sees nothing, and then all.
            place.begin = begin
            place.end = begin = self._size
            place.whole = True
            loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        event, self._grown = self._grown, asyncio.Event()
        event.set()


def batches(wanted: Sequence[WantedPath]) -> Iterator[list[str]]:
    """Group paths for one export each: small ones together, each large one by itself."""
    small = [one.path for one in wanted if one.size < LARGE]
    for begin in range(0, len(small), BATCH):
        yield small[begin : begin + BATCH]
    yield from ([one.path] for one in wanted if one.size >= LARGE)


class _Frames:
    """Compresses what is written to it, a frame at a time, in pieces that are worth a call."""

    def __init__(self, codec: Codec, append: Callable[[bytes], None]) -> None:
        self._codec = codec
        self._append = append
        self._frame = codec.frame()
        self._pending = bytearray()

    def write(self, data: bytes) -> None:
        self._pending += data
        if len(self._pending) >= _CHUNK:
            self._compress()

    def _compress(self) -> None:
        self._append(self._frame.compress(bytes(self._pending)))
        self._pending.clear()

    def end(self) -> None:
        self._compress()
        self._append(self._frame.flush())
        self._frame = self._codec.frame()


def _write(file: IO[bytes], data: bytes) -> int:
    """Write all of it; a file without a buffer may take less at a time."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
    return len(data)
