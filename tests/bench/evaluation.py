"""Evaluations of real NixOS hosts within a budget: time, and the most memory that was taken.

python -m tests.bench.evaluation --nixpkgs PATH [--max-failures 3G] [--control-group] [COUNT...]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from orchestrator.changes.source import Source
from orchestrator.core.errors import StepError
from orchestrator.core.host import Connect, Host, Limits
from orchestrator.core.units import parse_size, size_text
from orchestrator.lab.places import package_data
from orchestrator.nix import verbs as nix
from orchestrator.nix.asker import Quiet
from orchestrator.nix.evaluation import Evaluations
from orchestrator.nix.verbs import Flake
from tests.bench.table import Table, seconds, spread
from tests.bench.timing import Series

REPOSITORY = Path(__file__).parents[2]
COUNTS = (1, 5, 20)
BUDGET = parse_size("3G")


@dataclass(frozen=True, slots=True)
class Measured:
    """Some hosts evaluated within a budget.

    Attributes:
        hosts: How many.
        seconds: From the first's start to the last's end, by the wall clock.
        peak: The most that all processes below this one took at a moment, in bytes.
        budget: What they were allowed, in bytes.
        kernels_peak: The most that the control group took, as the kernel counts it.
        failures: What failed, a line each.
        notices: What a person would have been told.
    """

    hosts: int
    seconds: float
    peak: int
    budget: int
    kernels_peak: int | None = None
    failures: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


async def measure(
    nixpkgs: Path,
    counts: Sequence[int] = COUNTS,
    budget: int = BUDGET,
    *,
    in_group: bool = False,
) -> list[Measured]:
    """Evaluate copies of the example fleet's hosts, each a system of its own, nothing cached.

    Args:
        nixpkgs: A real one.
        counts: How many hosts; each count is measured by itself, and knows no earlier peak.
        budget: What the evaluations may take, in bytes.
        in_group: Whether the kernel holds this process to the budget, in a control group, rather
            than the orchestrator being told of it.

    Raises:
        StepError: This is no nixpkgs.
        OSError: ``in_group``, and no control group can be made here.
    """
    measured = []
    with tempfile.TemporaryDirectory() as folder, environment("XDG_CACHE_HOME", f"{folder}/cache"):
        flake = await fleet(Path(folder, "fleet"), nixpkgs, max(counts))
        for count in counts:
            # What was fetched stays, what was evaluated does not.
            for cached in Path(folder, "cache/nix").glob("eval-cache-*"):
                shutil.rmtree(cached)
            state = Path(folder, f"state-{count}")
            state.mkdir()
            with control_group(budget) if in_group else contextlib.nullcontext() as group:
                limits = Limits(evaluation_memory=None if in_group else budget)
                measured.append(await _evaluated(flake, limits, state, count, budget, group))
    return measured


def table(*runs: Sequence[Measured]) -> Table:
    """Put figures into a table: a row for each count, whatever it took in each run."""
    columns = ("hosts", "time", "a host", "peak", "of the budget", "failed")
    rows = []
    for those in zip(*runs, strict=True):
        series = Series([one.seconds for one in those])
        peak, hosts = max(one.peak for one in those), those[0].hosts
        rows.append(
            (
                str(hosts),
                spread(series),
                seconds((series.median or 0.0) / hosts),
                size_text(peak),
                f"{peak / those[0].budget:.0%}",
                str(max(len(one.failures) for one in those)),
            )
        )
    return Table(columns, tuple(rows))


class _Told(Quiet, frozen=True):
    """Keeps the notices."""

    notices: list[str] = msgspec.field(default_factory=list)

    def notice(self, text: str, *, warning: bool = False) -> None:  # noqa: ARG002
        self.notices.append(f"{self.host.name}: {text}")


async def _evaluated(
    flake: Flake, limits: Limits, state: Path, count: int, budget: int, group: Group | None
) -> Measured:
    told = [_Told(Host(name, name, Connect(name))) for name in names(count)]
    began = time.monotonic()
    async with Source(flake) as source:
        evaluations = Evaluations(source, limits, state, count)
        with sampled(os.getpid()) as peak:
            ended = await asyncio.gather(
                *(evaluations.evaluate(one) for one in told), return_exceptions=True
            )
    took = time.monotonic() - began
    for one in ended:
        if isinstance(one, BaseException) and not isinstance(one, StepError):
            raise one
    return Measured(
        count,
        took,
        peak(),
        budget,
        group.peak() if group else None,
        tuple(f"{error}" for error in ended if isinstance(error, StepError)),
        tuple(notice for one in told for notice in one.notices),
    )


def names(count: int) -> list[str]:
    """The copies' names."""
    originals = sorted(one.name for one in (REPOSITORY / "hosts").iterdir() if one.is_dir())
    return [f"{originals[n % len(originals)]}-{n}" for n in range(count)]


async def fleet(root: Path, nixpkgs: Path, count: int) -> Flake:
    """Write the example fleet with each host several times over, by names of their own.

    Its users have no profiles: Home Manager is not part of what is measured.
    """
    root.mkdir()
    shutil.copy(REPOSITORY / "flake.nix", root)
    for part in ("templates", "secrets"):
        shutil.copytree(REPOSITORY / part, root / part)
    fleet = json.loads((REPOSITORY / "inventory/fleet.json").read_text())
    hosts = {name: fleet["hosts"][name.rpartition("-")[0]] for name in names(count)}
    (root / "inventory").mkdir()
    users = {name: {**user, "profiles": []} for name, user in fleet["users"].items()}
    (root / "inventory/fleet.json").write_text(
        json.dumps({**fleet, "hosts": hosts, "users": users})
    )
    for name in hosts:
        shutil.copytree(REPOSITORY / "hosts" / name.rpartition("-")[0], root / "hosts" / name)
    if nixpkgs.parent == Path("/nix/store"):
        in_store = str(nixpkgs)
    else:
        in_store = json.loads(await nix.metadata(Flake(f"path:{nixpkgs}", str(root))))["path"]
    # Home Manager is asked for by no host here, and may be anything that is a flake.
    real = [(name, f"path:{in_store}") for name in ("nixpkgs", "home-manager")]
    agenix = ("agenix", f"path:{package_data('nixpkgs')}")
    flake = Flake(f"path:{root}", str(root), (*real, agenix))
    await nix.metadata(flake)
    return flake


@contextlib.contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Have a variable set, and be what it was afterwards."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


@contextlib.contextmanager
def sampled(pid: int, interval: float = 0.1) -> Iterator[Callable[[], int]]:
    """Watch what all processes below one take, from a thread; give the highest sum, in bytes.

    It shares no code with what it measures: every process's parent from ``/proc/PID/stat``, its
    proportional share from ``smaps_rollup``.
    """
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(interval):
            peak = max(peak, sum(map(_proportional, _below(pid))))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: peak
    finally:
        done.set()
        thread.join()


def _below(pid: int) -> Iterator[int]:
    children = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            children[int(stat.read_text().rpartition(")")[2].split()[1])].append(stat.parent.name)
    todo = list(children[pid])
    while todo:
        one = int(todo.pop())
        yield one
        todo += children[one]


def _proportional(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


@dataclass(frozen=True, slots=True)
class Group:
    """A control group that holds this process; version 1 or 2."""

    path: Path

    def peak(self) -> int:
        """The most that it took, in bytes, as the kernel counts it: the page cache, too."""
        for name in ("memory.peak", "memory.max_usage_in_bytes"):
            if (file := self.path / name).exists():
                return int(file.read_text())
        return 0


@contextlib.contextmanager
def control_group(limit: int) -> Iterator[Group]:
    """Move this process into a new control group with a limit in bytes, and out of it again."""
    if (old := Path("/sys/fs/cgroup/memory")).is_dir():
        root, name = old, "memory.limit_in_bytes"
    else:
        root, name = Path("/sys/fs/cgroup"), "memory.max"
    group = root / f"evaluation-bench-{os.getpid()}"
    before = _own_group(root)
    group.mkdir()
    try:
        (group / name).write_text(str(limit))
        (group / "cgroup.procs").write_text(str(os.getpid()))
        yield Group(group)
    finally:
        (before / "cgroup.procs").write_text(str(os.getpid()))
        group.rmdir()


def _own_group(root: Path) -> Path:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory" or (not controllers and root.name != "memory"):
            return root / path.lstrip("/")
    return root


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nixpkgs", type=Path, required=True)
    parser.add_argument("--max-failures", type=parse_size, default=BUDGET)
    parser.add_argument("--control-group", action="store_true", help="the kernel holds the budget")
    parser.add_argument("counts", nargs="*", type=int, default=COUNTS, metavar="COUNT")
    chosen = parser.parse_args()
    measured = asyncio.run(
        measure(
            chosen.nixpkgs, chosen.counts or COUNTS, chosen.budget, in_group=chosen.control_group
        )
    )
    print(table(measured).markdown())  # noqa: T201
    for one in measured:
        if one.kernels_peak is not None:
            print(f"{one.hosts} hosts: {size_text(one.kernels_peak)} by the kernel's count")  # noqa: T201
        for line in (*one.failures, *one.notices):
            print(f"{one.hosts} hosts: {line}")  # noqa: T201


if __name__ == "__main__":
    main()
