"""Many hosts: how fast all are asked, and what a rollout that changes nothing takes.

``python -m tests.bench.scale [COUNT]``. Client and server are processes of their own and share the
machine's cores: the client's processor time is what a faster server would leave.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.simulated import REPOSITORY, Simulated, simulated
from tests.bench.table import Table
from tests.lab.fleet_bench import ORCHESTRATOR

SIZES = (1000, 5000, 10_000)
_SAMPLE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Use:
    """What a process took, from its start to its end.

    Attributes:
        seconds: Wall clock.
        cpu: Processor seconds, in user and in system mode.
        memory: The most that was resident, in bytes.
        files: The most file descriptors that were open at a time, as sampled.
    """

    seconds: float
    cpu: float
    memory: int
    files: int


@dataclass(frozen=True, slots=True)
class Scale:
    """What so many hosts take.

    Attributes:
        crypto: The cryptography of so many connections, and nothing else.
        bare: asyncssh, which does nothing with the answers.
    """

    count: int
    crypto: Use
    bare: Use
    status: Use
    rollout: Use


async def measure(count: int = 1000) -> Scale:
    """Ask and roll out to so many simulated hosts.

    Raises:
        RuntimeError: A command failed, or a host was not found unchanged.
    """
    return await asyncio.to_thread(_measure, count)


def _measure(count: int) -> Scale:
    with tempfile.TemporaryDirectory() as folder, simulated(Path(folder), count) as fleet:
        bare_argv = (sys.executable, "-m", "tests.bench.bare", folder, str(fleet.port), str(count))
        crypto_argv = (sys.executable, "-m", "tests.bench.bare_crypto", str(count))
        environment = {**fleet.bench.environment, "PYTHONPATH": str(REPOSITORY)}
        # The first run remembers what was read and compiled, as on anybody's machine.
        _run(fleet, (str(ORCHESTRATOR), "status"), environment)
        crypto = _run(fleet, crypto_argv, environment)
        bare = _run(fleet, bare_argv, environment)
        status = _run(fleet, (str(ORCHESTRATOR), "status"), environment)
        rollout = _run(fleet, (str(ORCHESTRATOR), "deploy"), environment, f"{count} unchanged")
        return Scale(count, crypto, bare, status, rollout)


def _run(
    fleet: Simulated, argv: Sequence[str], environment: Mapping[str, str], expected: str = ""
) -> Use:
    """Run a client; it must succeed, and say what is expected."""
    usual = {key: environment[key] for key in environment if key != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile("w+") as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            argv, cwd=fleet.bench.root, env=usual, stdout=said, stderr=subprocess.STDOUT
        )
        files, ended = 0, 0
        while not ended:
            files = max(files, _open_files(process.pid))
            time.sleep(_SAMPLE_SECONDS)
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        said.seek(0)
        text = said.read()
    if process.returncode != 0 or expected not in text:
        raise RuntimeError(f"{argv[0]} ended with {process.returncode}: {text[-2000:]}")
    return Use(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, files)


def _open_files(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 (a number is wanted)
    except OSError:
        return 0


def table(found: Scale) -> Table:
    """A row for each way to ask."""
    rows = (
        ("cryptography alone, no connection", found.crypto),
        ("asyncssh alone, answers thrown away", found.bare),
        ("`orchestrator status`", found.status),
        ("`orchestrator deploy`, nothing changed", found.rollout),
    )
    columns = (
        f"{found.count} hosts",
        "hosts a second",
        "of asyncssh alone",
        "client's CPU a host",
        "peak memory",
        "open files",
    )
    cells = tuple(
        (
            what,
            f"{found.count / use.seconds:.0f}",
            f"{found.bare.seconds / use.seconds:.2f}",
            f"{use.cpu / found.count * 1000:.2f} ms",
            f"{use.memory / 2**20:.0f} MiB",
            str(use.files),
        )
        for what, use in rows
    )
    return Table(columns, cells, _NOTES)


_NOTES = (
    "whole processes, start included",
    "the simulated hosts are one Python process on the same cores, which holds all rows but the "
    "first down; the client's CPU is what a faster server would leave",
    "asyncssh alone is no floor: it is what a client in Python is held to; cryptography says how "
    "little of that must be",
)


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    sys.stdout.write(table(asyncio.run(measure(count))).markdown() + "\n")


if __name__ == "__main__":
    main()
