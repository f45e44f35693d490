"""What hosts are made of, asked of five at once, beside one command by plain SSH."""

from __future__ import annotations

from collections.abc import Callable

from tests.bench.bench_lab import BenchLab, bench_lab
from tests.bench.table import Table, failures, ratio, spread
from tests.bench.timing import Ran, Series, interleaved

HOSTS = 5
FLOOR = "`ssh h01 true`"


async def measure(repeat: int, hosts: int = HOSTS) -> dict[str, Series]:
    """Measure on lab hosts, after one run of each that is not counted.

    Args:
        repeat: How many times each is run.
        hosts: How many hosts are asked together.
    """
    with bench_lab(hosts, None, None) as lab:
        contenders = _contenders(lab)
        interleaved(contenders, 1)
        return interleaved(contenders, repeat)


def _contenders(lab: BenchLab) -> dict[str, Callable[[int], Ran]]:
    first, many = lab.hosts[0], len(lab.hosts)
    return {
        FLOOR: lambda _: lab.on(first, "true"),
        "`host exec h01 -- true`": lambda _: lab.ours("host", "exec", first, "--", "true"),
        "`host facts h01 --refresh`": lambda _: lab.ours("host", "facts", first, "--refresh"),
        f"`host facts --refresh`, {many} hosts": lambda _: lab.ours("host", "facts", "--refresh"),
        f"`host facts`, {many} hosts, as remembered": lambda _: lab.ours("host", "facts"),
    }


def table(found: dict[str, Series]) -> Table:
    """A row for each, with how many times the plain command it takes."""
    rows = tuple((name, spread(one), ratio(one, found[FLOOR])) for name, one in found.items())
    return Table(("command", "time", "times plain SSH"), rows, failures(found))
