"""Ten thousand hosts in the inventory: what commands take that only look. Needs no Nix, no host.

``python -m tests.bench.inventory [COUNT]``
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from orchestrator.core.event import RunFinished, RunStarted
from orchestrator.core.outcome import Unchanged
from orchestrator.core.plan import Goal
from orchestrator.core.run import DeployRequest, HostResult, Report
from orchestrator.core.store import OutPath
from orchestrator.host.setup import state_folder
from orchestrator.inventory import look
from orchestrator.runs.store import Runs
from tests.bench.table import Table, failures, spread
from tests.bench.timing import Ran, Series, interleaved, run
from tests.lab.fleet_bench import ORCHESTRATOR

HOSTS = 10_000
RUNS, LARGE_RUNS = 1000, 20
"""How many past runs there are, and how many of them were of all hosts."""

_A_FILE = 2500
_LAYERS = """\
fleet: {name: bench}
defaults: {connect: {user: deploy, port: 22}, tags: [all]}
templates: {server: {tags: [server]}, desk: {tags: [desk]}}
profiles: {web: {tags: [web]}, db: {tags: [db]}}
"""
_ENTRY = """\
  {name}:
    address: 10.{high}.{middle}.{low}
    template: {template}
    profiles: [{profile}]
    tags: [rack{rack}]
    hardware: {{cpu: {cpu}}}
"""


@dataclass(frozen=True, slots=True)
class Found:
    """By command, what it took: with hosts written out one by one, and as one class."""

    written: Mapping[str, Series]
    counted: Mapping[str, Series]


def measure(repeat: int, hosts: int = HOSTS, runs: int = RUNS) -> Found:
    """Measure each command several times over, each in turn.

    Args:
        repeat: How many times.
        hosts: How many hosts there are.
        runs: How many runs are in the history.
    """
    with _fleet(_written(hosts), runs) as root:
        written = interleaved(_contenders(root, _name(hosts // 2)), repeat)
    with _fleet({"hosts": f"hosts:\n  h: {{count: {hosts}, template: server}}\n"}, runs) as root:
        counted = interleaved(_contenders(root, f"h-{hosts // 2}"), repeat)
    return Found(written, counted)


def _contenders(root: Path, host: str) -> dict[str, Callable[[int], Ran]]:
    def ours(*words: str) -> Callable[[int], Ran]:
        return lambda _: run((str(ORCHESTRATOR), *words), cwd=root, env=os.environ)

    def changed(*words: str) -> Callable[[int], Ran]:
        def edit_and_run(number: int) -> Ran:
            (root / "inventory/more.yaml").write_text(f"profiles: {{p{number}: {{}}}}\n")
            return ours(*words)(number)

        return edit_and_run

    ours("inventory", "generate")(0)
    ours("run", "list")(0)
    return {
        "`inventory list`": ours("inventory", "list", "--members"),
        "`inventory list 'tag:server and not h*9'`": ours(
            "inventory", "list", "tag:server and not h*9"
        ),
        "`inventory show HOST`": ours("inventory", "show", host),
        "`run list`": ours("run", "list"),
        "`inventory generate`, nothing changed": ours("inventory", "generate"),
        "`inventory generate`, an edit before": changed("inventory", "generate"),
    }


@contextmanager
def _fleet(files: Mapping[str, str], runs: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-inventory-") as folder:
        places = {f"XDG_{what}_HOME": f"{folder}/{what}" for what in ("CACHE", "STATE")}
        with mock.patch.dict(os.environ, {**places, "HOME": folder}):
            # As on anybody's machine, what was compiled is kept.
            os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
            root = Path(folder, "fleet")
            (root / "inventory").mkdir(parents=True)
            for name, text in {"layers": _LAYERS, **files}.items():
                (root / f"inventory/{name}.yaml").write_text(text)
            _write_runs(root, runs)
            yield root
            shutil.rmtree(root)


def _written(count: int) -> dict[str, str]:
    entries = [_entry(number) for number in range(count)]
    return {
        f"hosts-{first}": "hosts:\n" + "".join(entries[first : first + _A_FILE])
        for first in range(0, count, _A_FILE)
    }


def _entry(number: int) -> str:
    return _ENTRY.format(
        name=_name(number),
        high=number >> 16,
        middle=number >> 8 & 255,
        low=number & 255,
        template=("desk", "server", "server")[number % 3],
        profile=("db", "web")[number % 2],
        rack=number % 40,
        cpu=("intel", "amd")[number % 5 > 0],
    )


def _name(number: int) -> str:
    return f"h{number:05}"


def _write_runs(root: Path, count: int) -> None:
    """Write a history, the runs of all hosts last."""
    fleet = look.fleet(root)
    runs, names = Runs(state_folder(fleet)), tuple(fleet.hosts)
    system = OutPath(f"/nix/store/{'a' * 32}-nixos-system-bench")
    for number in range(count):
        hosts = names if number >= count - LARGE_RUNS else names[:5]
        with runs.begin("bench", None, DeployRequest()) as journal:
            emit = journal.recording(lambda _: None)
            emit(RunStarted(journal.run, Goal.SWITCH, hosts))
            results = {name: HostResult(Unchanged("it runs that", system), 0.1) for name in hosts}
            emit(RunFinished(Report(journal.run, Goal.SWITCH, False, results, 1.0)))


def table(found: Found) -> Table:
    """A row for each command."""
    rows = tuple(
        (name, spread(one), spread(found.counted[name])) for name, one in found.written.items()
    )
    columns = ("command", "written out one by one", "one class")
    return Table(columns, rows, (*failures(found.written), *failures(found.counted)))


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else HOSTS
    sys.stdout.write(table(measure(3, count)).markdown() + "\n")


if __name__ == "__main__":
    main()
