"""Copying: each method, over links of three kinds, against what the link needs by itself."""

from __future__ import annotations

import contextlib
import os
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
from tests.bench.copy_openssh import RAW, Copy, OpenSsh, open_ssh_client
from tests.bench.table import Table, ratio, seconds, spread
from tests.bench.timing import Series
from tests.lab.fleet_bench import REPOSITORY

SMALL_PATHS = 1000
LARGE_MIB = 300
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
        ways: Repetitions of each of our methods, and of what they are held against.
        again: The same once more, with nothing to do.
        floor: Seconds that the link needs for the bytes as they are; ``None`` without a limit.
        floor_compressed: The same for the compressed bytes.
        chosen: What is chosen there, after a probe.
    """

    load: str
    what: Load
    link: str
    ways: dict[str, Series]
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
                async with reached(lab, way, Path(folder)) as (executor, openssh):
                    await _give_zstd(executor)
                    for name, root in loads.items():
                        found.append(await _measure(executor, openssh, way, name, root, repeat))
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
    executor: SshExecutor, openssh: OpenSsh, way: Way, name: str, root: OutPath, repeat: int
) -> Measured:
    await _forget(executor, root)
    load = (await lacking(executor, root)).load
    compressed, again = 0, Series()

    async def stream_it() -> None:
        nonlocal compressed
        compressed = await copy_by(CopyMethod.STREAM, executor, root)

    theirs = openssh.contenders(root, load.size)
    contenders: dict[str, Copy] = {
        RAW: theirs.pop(RAW),
        CopyMethod.CONNECTION.value: lambda: copy_by(CopyMethod.CONNECTION, executor, root),
        CopyMethod.STREAM.value: stream_it,
        **theirs,
    }
    ways = {one: Series() for one in contenders}
    for _ in range(repeat):
        for one, copy in contenders.items():
            await _forget(executor, root)
            ways[one].seconds.append(await _timed(copy))
        again.seconds.append(await _timed(lambda: lacking(executor, root)))
    sample = await probe(executor)
    link = link_of([sample], datetime.now(UTC))
    rate = way.mbit * 125_000 if way.mbit else None
    return Measured(
        name,
        load,
        way.name,
        ways,
        again,
        load.size / rate if rate else None,
        compressed / rate if rate else None,
        choose(load, link, ratio_of([])),
    )


async def _timed(copy: Copy) -> float:
    began = time.perf_counter()
    await copy()
    return time.perf_counter() - began


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
async def reached(
    lab: BenchLab, way: Way, folder: Path
) -> AsyncIterator[tuple[SshExecutor, OpenSsh]]:
    """A connection of ours to the lab's first host, and one of OpenSSH's, over a kind of link."""
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
        async with (
            open_ssh_client(config, lab.places.known_hosts, ADDRESS, folder) as openssh,
            open_ssh(target, settings) as executor,
        ):
            yield executor, openssh


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
    """A closure of so many small paths of noise in the store here, built as a system's are."""
    return _built(
        f"""outputs = [ "out" ] ++ names;
        names = builtins.genList (i: "p${{toString i}}") {count};""",
        'for one in $names; do eval "path=\\$$one"; head -c 4096 /dev/urandom > "$path"; '
        'echo "$path"; done > "$out"',
    )


def large_file(folder: Path, mebibytes: int) -> OutPath:
    """One file in the store here; 43 % of each MiB of it is noise, the rest one sentence."""
    file = folder / "large"
    with file.open("wb") as end:
        for number in range(mebibytes):
            end.write(os.urandom(450_888))
            end.write((b"the same again and again %06d\n" % number * 20_000)[: (1 << 20) - 450_888])
    return _built("", f'cat {file} > "$out"')


def _built(attributes: str, script: str) -> OutPath:
    """Build a path by the shell of this machine; no two are alike.

    What is only added to a store is named by its content, which a host works out once more.
    """
    text = f"""let seed = "{os.urandom(8).hex()}"; in derivation (rec {{
      inherit seed; name = "load"; system = builtins.currentSystem; {attributes}
      builder = "/bin/sh"; args = [ "-c" ''PATH=/usr/bin:/bin; {script}'' ]; }})"""
    plain = ("--option", "sandbox", "false", "--option", "substitute", "false")
    done = subprocess.run(
        ("nix-build", "--no-out-link", *plain, "-E", text),
        capture_output=True,
        text=True,
        check=True,
    )
    return OutPath(done.stdout.strip())


def _nix_store(*words: str) -> str:
    done = subprocess.run(("nix-store", *words), capture_output=True, text=True, check=True)
    return done.stdout


def table(found: Sequence[Measured]) -> Table:
    """A row for each load and link: each way's time, the link's own, and what is chosen."""
    names = tuple(found[0].ways)
    columns = ("load", "link", *names, "link's floor", "compressed", "nothing to do", "chosen")
    rows = tuple(
        (
            one.load,
            one.link,
            *(_beside(one.ways[name], one.ways[RAW]) for name in names),
            _floor(one.floor),
            _floor(one.floor_compressed),
            spread(one.again),
            one.chosen.method.value,
        )
        for one in found
    )
    return Table(columns, rows, _NOTES)


_NOTES = (
    "ours, connection and stream: on a connection that is open, with the question what lacks",
    "the raw pipe is `cat FILE | ssh HOST 'cat > FILE'`, of as many bytes as the paths have, which "
    "checks, unpacks and registers nothing; ratios are to it",
    "the raw pipe, ssh-ng:// and ssh:// go over a connection of OpenSSH's that is open, with the "
    "cipher that it takes by itself",
    "the floors are bytes by rate: as they are, and as they were compressed",
    "50 ms is the round trip, at 1 Gbit/s; the relay leaves out TCP's slow start",
)


def _beside(series: Series, raw: Series) -> str:
    return spread(series) if series is raw else f"{spread(series)}, {ratio(series, raw)}"


def _floor(value: float | None) -> str:
    return "-" if value is None else seconds(value)
