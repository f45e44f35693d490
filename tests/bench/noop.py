"""Nothing changed: how long each tool takes to find that out, or to do it all again."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import peers
from tests.bench.bench_lab import BenchLab, bench_lab
from tests.bench.table import Table, failures, ratio, spread
from tests.bench.timing import Ran, Series, interleaved, run
from tests.lab.fleet_bench import REPOSITORY

SIZES = (1, 5, 20)
BySize = dict[str, Series]


@dataclass(frozen=True, slots=True)
class NoOp:
    """Each tool's repetitions, by the number of hosts.

    Attributes:
        real: Whether the hosts were evaluated with real NixOS.
        same: Nothing was committed in between.
        unrelated: A file that no host reads was committed before each; only the tools to which
            that makes a difference.
        installed: Ours, with the fewest hosts, by where the byte code is that Python starts from.
    """

    real: bool
    same: dict[int, BySize]
    unrelated: dict[int, BySize]
    installed: BySize


async def measure(
    nixpkgs: Path | None, repeat: int, sizes: Sequence[int] = SIZES, largest: int = SIZES[-1]
) -> NoOp:
    """Measure fleets of several sizes, one lab each.

    Args:
        nixpkgs: A real nixpkgs to evaluate the hosts with, or none.
        repeat: How many times each tool is run, after one run that is not counted.
        sizes: Numbers of hosts.
        largest: The most hosts that other tools are run with.
    """
    same, unrelated = {}, {}
    installed: BySize = {}
    for size in sizes:
        with bench_lab(size, nixpkgs, peers.activate_program()) as lab:
            tools = [one for one in peers.present() if size <= largest or one.name == peers.OURS]
            same[size] = _nothing_committed(lab, repeat, tools)
            unrelated[size] = _unrelated_committed(lab, repeat, tools)
            installed = installed or _installed(lab, repeat)
    return NoOp(nixpkgs is not None, same, unrelated, installed)


def _nothing_committed(lab: BenchLab, repeat: int, tools: Sequence[peers.Tool]) -> BySize:
    """Run every tool once uncounted: what it needs, once, is built and on the hosts then."""
    warm = interleaved({tool.name: _contender(tool, lab) for tool in tools}, 1)
    able = [tool for tool in tools if not warm[tool.name].failure]
    counted = interleaved({tool.name: _contender(tool, lab) for tool in able}, repeat)
    return {tool.name: counted.get(tool.name, warm[tool.name]) for tool in tools}


def _unrelated_committed(lab: BenchLab, repeat: int, tools: Sequence[peers.Tool]) -> BySize:
    """Give each run a commit of its own, so that it finds nothing in a cache of another's."""

    def contender(tool: peers.Tool) -> peers.Contender:
        def committed(number: int) -> Ran:
            lab.change_unrelated(f"{tool.name} {number}")
            return tool.switch(lab, lab.hosts)

        return committed

    return interleaved({tool.name: contender(tool) for tool in tools if tool.cached}, repeat)


BESIDE = "beside the modules, as `pip install` leaves it"
KEPT = "none there (`PYTHONDONTWRITEBYTECODE=1`), and kept in the user's cache"
NOWHERE = "none there, and nowhere to keep it"


def _installed(lab: BenchLab, repeat: int) -> BySize:
    """Run ours from where Python keeps byte code, from where it must not, and from neither.

    Dependencies have theirs beside them, but where all of it is kept in the cache.
    """
    caches = {name: lab.bench.home / "caches" / str(n) for n, name in enumerate((KEPT, NOWHERE))}
    # A folder that others may enter is not taken for byte code, which is code.
    (caches[NOWHERE] / "orchestrator").mkdir(parents=True)
    (caches[NOWHERE] / "orchestrator/bytecode").mkdir(mode=0o755)
    (beside, bare) = (lab.bench.home / name for name in ("compiled", "bare"))
    for place in (beside, bare):
        shutil.copytree(
            REPOSITORY / "orchestrator",
            place / "orchestrator",
            ignore=shutil.ignore_patterns("__pycache__"),
        )

    def ours(place: Path, **more: str) -> Callable[[int], Ran]:
        argv = (sys.executable, "-m", "orchestrator", "deploy")
        env = lab.environment(PYTHONPATH=str(place), **more)
        return lambda _: run(argv, cwd=lab.bench.root, env=env)

    never = {"PYTHONDONTWRITEBYTECODE": "1"}
    contenders = {
        BESIDE: ours(beside),
        **{name: ours(bare, XDG_CACHE_HOME=str(caches[name]), **never) for name in caches},
    }
    interleaved(contenders, 2)  # the inventory is read anew, and what can be kept is kept
    return interleaved(contenders, repeat)


def installed_table(installed: BySize) -> Table:
    """A row for each way of having byte code."""
    base = installed[BESIDE]
    rows = [(name, spread(one), ratio(one, base)) for name, one in installed.items()]
    return Table(("byte code", "1 host", "ratio"), tuple(rows), tuple(failures(installed)))


def _contender(tool: peers.Tool, lab: BenchLab) -> peers.Contender:
    def contender(_: int) -> Ran:
        return tool.switch(lab, lab.hosts)

    return contender


def table(by_size: dict[int, BySize]) -> Table:
    """A row for each tool, two columns for each number of hosts."""
    sizes = list(by_size)
    columns = ["tool"]
    for size in sizes:
        columns += [f"{size} host{'s'[: size != 1]}", "ratio"]
    rows = [(name, *_cells(name, list(by_size.values()))) for name in by_size[sizes[0]]]
    notes = [note for series in by_size.values() for note in failures(series)]
    return Table(tuple(columns), tuple(rows), (*notes, *peers.absent_notes()))


def _cells(name: str, sizes: Sequence[BySize]) -> list[str]:
    cells = []
    for series in sizes:
        one = series.get(name, Series())
        cells += [spread(one), ratio(one, series[peers.OURS])]
    return cells
