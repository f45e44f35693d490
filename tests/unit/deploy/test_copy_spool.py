"""What hosts are sent is read once, whoever asks, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
from pathlib import Path

import pytest
import zstandard
from copy_bench import fake_nix
from test_export_format import HASH, exported, pieces

from orchestrator.core.errors import StepError
from orchestrator.deploy.copy import spool as spool_module
from orchestrator.deploy.copy.export_format import END
from orchestrator.deploy.copy.spool import Codec, Spool, WantedPath, batches

NAMES = [f"{HASH}-{letter}" for letter in "abc"]
PATHS = [f"/nix/store/{name}" for name in NAMES]
WANTED = [WantedPath(path, 1000) for path in PATHS]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A store with three paths, each a file that holds its own name."""
    folder = fake_nix(monkeypatch, tmp_path)
    for name, path in zip(NAMES, PATHS, strict=True):
        (folder / name).write_bytes(exported(path, name.encode()))
    return folder


def exports(store: Path) -> list[str]:
    """The exports that were started."""
    log = store / "log"
    return [line for line in log.read_text().splitlines() if "--export" in line]


async def collect(spool: Spool, wanted: list[WantedPath]) -> bytes:
    """What one host would be sent."""
    spool.want(wanted)
    return b"".join([data for one in wanted async for data in spool.chunks(one.path)]) + spool.end


def unpacked(codec: Codec, data: bytes) -> bytes:
    """As the host's program does: frame after frame."""
    if codec is Codec.GZIP:
        return gzip.decompress(data)
    return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()


@pytest.mark.parametrize("codec", Codec)
def test_hosts_that_want_the_same_read_it_once(store: Path, tmp_path: Path, codec: Codec) -> None:
    """Three hosts at once, each with its own selection: every path is exported once."""

    async def run() -> list[bytes]:
        spool = Spool(tmp_path / "state", codec)
        try:
            first = await asyncio.gather(
                collect(spool, WANTED[:2]), collect(spool, WANTED[1:]), collect(spool, WANTED)
            )
            return [*first, await collect(spool, WANTED[2:])]
        finally:
            await spool.close()

    both, tail, whole, last = (unpacked(codec, data) for data in asyncio.run(run()))
    assert [path for path, _ in pieces(both)] == PATHS[:2]
    assert tail == b"".join((store / name).read_bytes() for name in NAMES[1:]) + END
    assert [path for path, _ in pieces(whole)] == PATHS
    assert [path for path, _ in pieces(last)] == PATHS[2:]
    asked = " ".join(exports(store)).split()
    assert sorted(word for word in asked if word != "--export") == PATHS


def test_the_spool_has_no_name(store: Path, tmp_path: Path) -> None:
    """The spool has no name even while it is used, so that a crash leaves nothing behind."""
    state = tmp_path / "state"

    async def run() -> list[Path]:
        spool = Spool(state, Codec.GZIP)
        await collect(spool, WANTED)
        seen = list(state.iterdir())
        await spool.close()
        return seen

    assert asyncio.run(run()) == []
    assert state.stat().st_mode & 0o077 == 0


def test_a_path_that_cannot_be_read_is_an_error_for_each_who_wants_it(
    store: Path, tmp_path: Path
) -> None:
    """Nix's words reach all; who asks later has it read again."""
    (store / NAMES[1]).rename(store / "away")

    async def run() -> bytes:
        spool = Spool(tmp_path, Codec.GZIP)
        try:
            failed = await asyncio.gather(
                collect(spool, WANTED[:2]), collect(spool, WANTED[1:]), return_exceptions=True
            )
            assert all(isinstance(error, StepError) for error in failed), failed
            assert "is not valid" in failed[0].stderr
            (store / "away").rename(store / NAMES[1])
            return await collect(spool, WANTED)
        finally:
            await spool.close()

    assert [path for path, _ in pieces(gzip.decompress(asyncio.run(run())))] == PATHS


def test_what_is_no_export_is_an_error(store: Path, tmp_path: Path) -> None:
    """Bytes that Nix never writes are sent to nobody as if they were whole."""
    (store / NAMES[0]).write_bytes(exported(PATHS[1], b"another path than was asked for"))

    async def run() -> None:
        spool = Spool(tmp_path, Codec.GZIP)
        try:
            await collect(spool, WANTED[:1])
        finally:
            await spool.close()

    with pytest.raises(StepError, match=r"export failed.*was not asked for"):
        asyncio.run(run())


def test_the_beginning_of_a_large_path_is_sent_while_its_end_is_read(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for the whole of a large path; closing meanwhile ends its export."""
    monkeypatch.setattr(spool_module, "LARGE", 1000)
    (store / NAMES[0]).unlink()
    os.mkfifo(store / NAMES[0])
    export = exported(PATHS[0], os.urandom(2_000_000))

    async def run() -> int:
        spool = Spool(tmp_path, Codec.GZIP)
        spool.want(WANTED[:1])
        first = asyncio.create_task(anext(aiter(spool.chunks(PATHS[0]))))
        with await asyncio.to_thread((store / NAMES[0]).open, "wb", 0) as end:
            await asyncio.to_thread(end.write, export[:1_500_000])
            size = len(await asyncio.wait_for(first, 60))
            await asyncio.wait_for(spool.close(), 60)
        return size

    assert asyncio.run(run()) > 0


def test_large_paths_have_exports_of_their_own() -> None:
    """Small ones share one; a command line is never too long."""
    small = [WantedPath(f"s{number}", 1) for number in range(spool_module.BATCH + 1)]
    large = WantedPath("large", spool_module.LARGE)
    found = list(batches([small[0], large, *small[1:]]))
    assert [len(batch) for batch in found] == [spool_module.BATCH, 1, 1]
    assert found[-1] == ["large"]


def test_a_full_disk_is_named(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cause is told, and a way that needs no room."""
    monkeypatch.setattr(spool_module, "_write", _no_room)

    async def run() -> None:
        spool = Spool(tmp_path, Codec.GZIP)
        try:
            await collect(spool, WANTED)
        finally:
            await spool.close()

    with pytest.raises(StepError, match="No space left") as caught:
        asyncio.run(run())
    assert "--copy connection" in (caught.value.hint or "")


def _no_room(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")
