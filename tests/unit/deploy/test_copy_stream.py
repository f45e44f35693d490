"""A stream from end to end: what is asked, what is sent, and what is said where it goes wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from copy_bench import FolderHost, fake_nix
from test_export_format import HASH, exported, pieces

from orchestrator.core.errors import StepError
from orchestrator.core.run import Load
from orchestrator.core.store import OutPath
from orchestrator.deploy.copy.closure import SMALLEST, Lacking, lacking, probe
from orchestrator.deploy.copy.spool import Codec, Spool, WantedPath
from orchestrator.deploy.copy.stream import Sent, between_hosts, stream

NAMES = [f"{HASH}-{letter}" for letter in "abc"]
PATHS = [f"/nix/store/{name}" for name in NAMES]
ROOT = OutPath(PATHS[-1])


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """This machine's store: a closure of three paths."""
    folder = fake_nix(monkeypatch, tmp_path)
    _fill(folder)
    return folder


def _fill(folder: Path) -> None:
    for name, path in zip(NAMES, PATHS, strict=True):
        (folder / name).write_bytes(exported(path, name.encode()))
    (folder / "said--requisites").write_text("\n".join(PATHS))
    (folder / "said--size").write_text("100\n300\n")


@pytest.fixture
def host(store: Path, tmp_path: Path) -> FolderHost:
    """A host that has the first of the three."""
    made = FolderHost(tmp_path / "host")
    (made.store / NAMES[0]).write_text("")
    return made


async def _streamed(host: FolderHost, folder: Path, codec: Codec) -> tuple[Sent, list[int]]:
    lacks = await lacking(host, ROOT)
    spool, seen = Spool(folder, codec), []
    try:
        return await stream(host, spool, lacks.paths, lambda sent: seen.append(sent.bytes)), seen
    finally:
        await spool.close()


def test_a_host_is_asked_once_what_it_lacks(host: FolderHost) -> None:
    """A host is asked once what it lacks, and answers in the closure's order, with sizes."""
    found = asyncio.run(lacking(host, ROOT))
    assert found.paths == (WantedPath(PATHS[1], 100), WantedPath(PATHS[2], 300))
    assert found.load == Load(2, 400)
    assert Codec.GZIP in found.codecs


def test_nothing_lacks_where_the_root_is_valid(host: FolderHost) -> None:
    """The closure is not even gone through: Nix registers no path before its references."""
    (host.store / NAMES[2]).write_text("")
    assert asyncio.run(lacking(host, ROOT)) == Lacking((), asyncio.run(lacking(host, ROOT)).codecs)
    assert "--print-invalid" not in (host.store / "log").read_text()


def test_what_lacks_is_sent_and_nothing_else(host: FolderHost, tmp_path: Path) -> None:
    """The host imports the two paths, in order; progress tells the bytes on the link."""
    sent, seen = asyncio.run(_streamed(host, tmp_path, Codec.GZIP))
    assert [path for path, _ in pieces((host.store / "imported").read_bytes())] == PATHS[1:]
    assert sent.paths == 2
    assert seen == sorted(seen)
    assert seen[-1] == sent.bytes > 0


def test_a_host_that_does_not_take_it_in_says_why(host: FolderHost, tmp_path: Path) -> None:
    """The cause, the next step and the command are told."""
    (host.store / "full").write_text("")
    with pytest.raises(StepError, match="No space left on device") as caught:
        asyncio.run(_streamed(host, tmp_path, Codec.GZIP))
    assert "disk is full" in (caught.value.hint or "")
    assert (caught.value.command or "").startswith("ssh host")


def test_a_store_that_is_broken_here_stops_the_host_too(
    host: FolderHost, store: Path, tmp_path: Path
) -> None:
    """What cannot be read here is the error, not what the host makes of a stream cut off."""
    (store / NAMES[2]).unlink()
    with pytest.raises(StepError, match="export failed"):
        asyncio.run(_streamed(host, tmp_path, Codec.GZIP))


def test_a_builder_gives_to_a_host_what_it_lacks(host: FolderHost, tmp_path: Path) -> None:
    """Through this machine, compressed, and nothing that is there already."""
    builder = FolderHost(tmp_path / "builder")
    _fill(builder.store)
    sent = asyncio.run(between_hosts(builder, host, ROOT, lambda _: None))
    assert sent.paths == 2
    assert [path for path, _ in pieces((host.store / "imported").read_bytes())] == PATHS[1:]


def test_a_builder_that_fails_in_the_middle_is_named(host: FolderHost, tmp_path: Path) -> None:
    """A builder that fails in the middle of its export is named, compressor or not."""
    builder = FolderHost(tmp_path / "builder")
    _fill(builder.store)
    (builder.store / NAMES[1]).unlink()
    with pytest.raises(StepError, match="the builder did not give the paths out"):
        asyncio.run(between_hosts(builder, host, ROOT, lambda _: None))


def test_a_probe_measures_what_is_there(host: FolderHost) -> None:
    """Some bytes went there and back in some time."""
    found = asyncio.run(probe(host, at_most=4 * SMALLEST))
    assert SMALLEST <= found.sent <= 4 * SMALLEST
    assert found.rate > 0
    assert found.round_trip > 0
    assert found.method is None
