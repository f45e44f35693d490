"""Learning what real hosts read, beside their cold evaluation: time, processor, memory.

python -m tests.bench.learning --nixpkgs PATH [COUNT...]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.changes import learn as changes_learn
from orchestrator.changes.knowledge import KnownSystems
from orchestrator.changes.source import Source
from orchestrator.core.host import Connect, Fleet, Host
from orchestrator.core.units import size_text
from orchestrator.host.setup import Setup
from orchestrator.nix.asker import Quiet
from orchestrator.nix.evaluation import Evaluations
from orchestrator.nix.verbs import Flake
from orchestrator.ssh.settings import SshSettings
from tests.bench.evaluation import environment, fleet, names, sampled
from tests.bench.table import Table, seconds

HOSTS = 20


@dataclass(frozen=True, slots=True)
class Took:
    """One of the two.

    Attributes:
        seconds: By the wall clock.
        cpu: Processor seconds of all processes that were started.
        peak: The most memory that they took at a moment, in bytes.
        failures: What failed, a line each.
    """

    seconds: float
    cpu: float
    peak: int
    failures: tuple[str, ...] = ()


async def measure(nixpkgs: Path, hosts: int = HOSTS) -> dict[str, Took]:
    """Evaluate hosts as a deployment does, with nothing cached; then learn them as it does.

    Args:
        nixpkgs: A real one.
        hosts: How many, each a system of its own; in a repository without changes.

    Raises:
        StepError: This is no nixpkgs, or a host does not evaluate.
    """
    with tempfile.TemporaryDirectory() as folder, environment("XDG_CACHE_HOME", f"{folder}/cache"):
        root = Path(folder, "fleet")
        made = await fleet(root, nixpkgs, hosts)
        _commit(root)
        flake = Flake.at(str(root), str(root), made.overrides)
        each = {name: Host(name, name, Connect(name)) for name in names(hosts)}
        fleet_of = Fleet("bench", str(root), str(root), each)
        setup = Setup(fleet_of, flake, SshSettings(), Path(folder, "state"))
        setup.state.mkdir()
        problems: list[str] = []

        def told(lesson: changes_learn.Lesson) -> None:
            if lesson.fingerprint is None or lesson.fingerprint.reads is None:
                problems.append(f"{lesson.host}: {lesson.problem or 'any change counts'}")

        cold = await _took(_evaluate(setup, tuple(each.values())))
        learned = await _took(changes_learn.learn(setup, tuple(each.values()), told))
        return {
            "cold evaluation": cold,
            "learning": Took(learned.seconds, learned.cpu, learned.peak, tuple(problems)),
        }


async def _evaluate(setup: Setup, hosts: tuple[Host, ...]) -> None:
    async with Source(setup.flake) as source:
        known = KnownSystems(setup, hosts, source)
        evaluations = Evaluations(source, setup.fleet.limits, setup.state, len(hosts))
        async with asyncio.TaskGroup() as tasks:
            for host in hosts:
                tasks.create_task(known.system(Quiet(host), evaluations))
        await known.keep(None)


async def _took(work: Awaitable[None]) -> Took:
    began, before = time.monotonic(), _cpu()
    with sampled(os.getpid()) as peak:
        await work
    return Took(time.monotonic() - began, _cpu() - before, peak())


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _commit(root: Path) -> None:
    for words in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "-m", "fleet")):
        named = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
        subprocess.run(("git", "-C", str(root), *named, *words), check=True)


def table(found: dict[str, Took]) -> Table:
    """A row for each, with how many times the cold evaluation it takes."""
    cold = found["cold evaluation"]
    rows = tuple(
        (
            name,
            seconds(one.seconds),
            f"{one.seconds / cold.seconds:.2f}",
            seconds(one.cpu),
            f"{one.cpu / cold.cpu:.2f}",
            size_text(one.peak),
        )
        for name, one in found.items()
    )
    failed = tuple(line for one in found.values() for line in one.failures)
    return Table(("", "time", "of the evaluation's", "processor", "of its", "memory"), rows, failed)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nixpkgs", type=Path, required=True)
    parser.add_argument("counts", nargs="*", type=int, default=[HOSTS], metavar="COUNT")
    chosen = parser.parse_args()
    for count in chosen.counts:
        found = asyncio.run(measure(chosen.nixpkgs, count))
        print(table(found).markdown())  # noqa: T201


if __name__ == "__main__":
    main()
