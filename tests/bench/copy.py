"""Copying: each method, over links of three kinds, against what the link needs by itself."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.core.host import Connect, Host
from orchestrator.core.run import CopyMethod, Load
from orchestrator.core.store import OutPath
from orchestrator.deploy.copy import stream as copy_stream
from orchestrator.deploy.copy.closure import lacking, probe
from orchestrator.deploy.copy.spool import Spool
from orchestrator.deploy.copy.stream import stream
from orchestrator.deploy.plan.copying import Choice, choose, link_of, ratio_of
from orchestrator.lab.places import inside_network
from orchestrator.ssh.executor import SshExecutor, open_ssh
from orchestrator.ssh.settings import SshSettings
from tests.bench.bench_lab import BenchLab, bench_lab
from tests.bench.table import Table, seconds, spread
from tests.bench.timing import Series
from tests.lab.fleet_bench import REPOSITORY

SMALL_PATHS = 500
LARGE_MIB = 100
ADDRESS = "copy-target"
DEADLINE = 600.0


@dataclass(frozen=True, slots=True)
class Way:
    """A link to measure on; ``None`` for what the machine gives.

    Attributes:
        delay: Milliseconds each way.
        mbit: Megabits a second each way.
    """

    name: str
    delay: float = 0.0
    mbit: float | None = None


WAYS = (Way("loopback"), Way("50 ms", 25.0, 1000.0), Way("100 Mbit/s", 0.2, 100.0))


@dataclass(frozen=True, slots=True)
class Measured:
    """One load over one link.

    Attributes:
        load: Its name.
        what: How much it is.
        link: The link's name.
        methods: Each method's repetitions.
        again: The same once more, with nothing to do.
        floor: Seconds that the link needs for the bytes as they are; ``None`` without a limit.
        floor_compressed: The same for the compressed bytes.
        chosen: What is chosen there, after a probe.
    """

    load: str
    what: Load
    link: str
    methods: dict[CopyMethod, Series]
    again: Series
    floor: float | None
    floor_compressed: float | None
    chosen: Choice


async def measure(
    repeat: int, *, small_paths: int = SMALL_PATHS, large_mib: int = LARGE_MIB
) -> list[Measured]:
    """Measure all loads over all links.

    Args:
        repeat: How many times each method copies each load.
        small_paths: How many paths of 4 KB the one load has.
        large_mib: The size of the other, in MiB; 43 % of it cannot be compressed.
    """
    found = []
    with bench_lab(1, None, None) as lab, tempfile.TemporaryDirectory() as folder:
        loads = {
            f"{small_paths} paths of 4 KB": many_paths(small_paths),
            f"one file of {large_mib} MiB": large_file(Path(folder), large_mib),
        }
        with inside_network(lab.keeper), deleted_at_the_end(loads.values()):
            for way in WAYS:
                async with reached(lab, way, Path(folder)) as executor:
                    await _give_zstd(executor)
                    for name, root in loads.items():
                        found.append(await _measure(executor, way, name, root, repeat))
    return found


@contextmanager
def deleted_at_the_end(roots: Iterable[OutPath]) -> Iterator[None]:
    """Leave nothing of the loads in the store here."""
    paths = [path for root in roots for path in _requisites(root)]
    try:
        yield
    finally:
        _nix_store("--delete", *paths)


def _requisites(root: OutPath) -> list[str]:
    return _nix_store("--query", "--requisites", root.path).split()


async def _measure(
    executor: SshExecutor, way: Way, name: str, root: OutPath, repeat: int
) -> Measured:
    series = {method: Series() for method in CopyMethod}
    again = Series()
    await _forget(executor, root)
    lacks = await lacking(executor, root)
    compressed = 0
    for _ in range(repeat):
        for method in CopyMethod:
            await _forget(executor, root)
            began = time.perf_counter()
            sent = await copy_by(method, executor, root)
            series[method].seconds.append(time.perf_counter() - began)
            compressed = sent if method is CopyMethod.STREAM else compressed
        began = time.perf_counter()
        assert not (await lacking(executor, root)).paths
        again.seconds.append(time.perf_counter() - began)
    sample = await probe(executor)
    link = link_of([sample], datetime.now(UTC))
    rate = way.mbit * 125_000 if way.mbit else None
    return Measured(
        name,
        lacks.load,
        way.name,
        series,
        again,
        lacks.load.size / rate if rate else None,
        compressed / rate if rate else None,
        choose(lacks.load, link, ratio_of([])),
    )


async def copy_by(method: CopyMethod, executor: SshExecutor, root: OutPath) -> int:
    """Copy as a deployment does, on a connection that is open; gives the bytes that were sent."""
    lacks = await lacking(executor, root)
    match method:
        case CopyMethod.STREAM:
            with tempfile.TemporaryDirectory() as folder:
                spool = Spool(Path(folder), lacks.codecs[0])
                try:
                    return (await stream(executor, spool, lacks.paths, lambda _: None)).bytes
                finally:
                    await spool.close()
        case CopyMethod.CONNECTION:
            await copy_stream.over_connection(
                executor, root, deadline=DEADLINE, by_hand="", on_stderr=lambda _: None
            )
            return lacks.load.size


@contextlib.asynccontextmanager
async def reached(lab: BenchLab, way: Way, folder: Path) -> AsyncIterator[SshExecutor]:
    """A connection to the lab's first host, over a link of the given kind."""
    name = lab.hosts[0]
    address = lab.places.known_hosts.read_text().split()[0].split(",")[1]
    with relayed(address, way) as (host, port):
        config = folder / f"ssh_config-{way.name.replace('/', ' ').split()[0]}"
        config.write_text(
            f"Host {ADDRESS}\n  HostName {host}\n  Port {port}\n  HostKeyAlias {name}\n\n"
            + lab.places.ssh_config.read_text()
        )
        settings = SshSettings(str(config), str(lab.places.known_hosts))
        target = Host(name, name, Connect(ADDRESS, user="root"))
        async with open_ssh(target, settings) as executor:
            yield executor


@contextmanager
def relayed(address: str, way: Way) -> Iterator[tuple[str, int]]:
    """A process of its own relays: it is not to take this one's time."""
    if way.mbit is None:
        yield address, 22
        return
    shape = ("--delay", str(way.delay), "--mbit", str(way.mbit))
    relay = subprocess.Popen(
        (sys.executable, "-m", "tests.bench.relay", address, "22", *shape),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert relay.stdout is not None
        yield "127.0.0.1", int(relay.stdout.readline())
    finally:
        relay.terminate()
        relay.wait()


async def _forget(executor: SshExecutor, root: OutPath) -> None:
    """Have the host delete what is to be copied to it again."""
    paths = _requisites(root)
    argv = ("/bin/sh", "-c", "xargs -n 5000 nix-store --delete 2>&1 || :", "sh")
    done = await executor.run(argv, deadline=DEADLINE, stdin="\n".join(paths).encode())
    lacks = await lacking(executor, root)
    assert lacks.load.paths == len(paths), done.out[-300:]


async def _give_zstd(executor: SshExecutor) -> None:
    """Let the lab host have what every NixOS has, where this machine can lend it."""
    program = shutil.which("zstd")
    if program is None:
        return
    argv = ("/bin/sh", "-c", "cat > /usr/local/bin/zstd && chmod +x /usr/local/bin/zstd")
    await executor.run(argv, deadline=60, stdin=Path(program).read_bytes())
    works = await executor.run(("zstd", "--version"), deadline=60)
    if works.rc != 0:
        await executor.run(("rm", "/usr/local/bin/zstd"), deadline=60)


def many_paths(count: int) -> OutPath:
    """A closure of so many small files of hexadecimal digits, in the store here."""
    seed = os.urandom(8).hex()
    text = f'''with builtins; toFile "many" (concatStringsSep "\\n" (genList (i:
      toFile "small-${{toString i}}" (concatStringsSep "" (genList (j:
        hashString "sha256" "{seed}-${{toString i}}-${{toString j}}") 64))) {count}))'''
    done = subprocess.run(
        ("nix-instantiate", "--eval", "--read-write-mode", "-E", text),
        capture_output=True,
        text=True,
        check=True,
    )
    return OutPath(re.sub('[" \n]', "", done.stdout))


def large_file(folder: Path, mebibytes: int) -> OutPath:
    """One file in the store here; 43 % of each MiB of it is noise, the rest one sentence."""
    file = folder / "large"
    with file.open("wb") as end:
        for number in range(mebibytes):
            end.write(os.urandom(450_888))
            end.write((b"the same again and again %06d\n" % number * 20_000)[: (1 << 20) - 450_888])
    return OutPath(_nix_store("--add", str(file)).strip())


def _nix_store(*words: str) -> str:
    done = subprocess.run(("nix-store", *words), capture_output=True, text=True, check=True)
    return done.stdout


def table(found: Sequence[Measured]) -> Table:
    """A row for each load and link: each method's time, the link's own, and what is chosen."""
    methods = [method.value for method in CopyMethod]
    columns = ("load", "link", *methods, "link's floor", "compressed", "nothing to do", "chosen")
    rows = tuple(
        (
            one.load,
            one.link,
            *(spread(one.methods[method]) for method in CopyMethod),
            _floor(one.floor),
            _floor(one.floor_compressed),
            spread(one.again),
            one.chosen.method.value,
        )
        for one in found
    )
    return Table(columns, rows, _NOTES)


_NOTES = (
    "each copy on a connection that is open, as in a deployment, with the question what lacks",
    "the floors are bytes by rate: as they are, and as they were compressed",
    "50 ms is the round trip, at 1 Gbit/s; the relay leaves out TCP's slow start",
)


def _floor(value: float | None) -> str:
    return "-" if value is None else seconds(value)
