"""All benchmarks, in the document's order."""

from __future__ import annotations

from tests.bench import all_changed, check, facts, noop, one_changed, one_host, secret_check
from tests.bench.benchmark import Benchmark, Options, lacks_lab, lacks_real
from tests.bench.table import Table

Pieces = list[tuple[str, Table]]


def _evaluated(*, real: bool) -> str:
    return "Hosts evaluated with real NixOS" if real else "Hosts evaluated with the lab's stand-in"


async def _noop(options: Options) -> Pieces:
    sizes = (1, 2) if options.quick else noop.SIZES
    found = await noop.measure(options.nixpkgs, options.repeat, sizes, options.largest)
    whose = _evaluated(real=found.real)
    return [
        (f"{whose}; nothing was committed since the last deployment:", noop.table(found.same)),
        (
            f"{whose}; a file that no host reads was committed before each run. Colmena and "
            "deploy-rs evaluate every time, whatever was committed:",
            noop.table(found.unrelated),
        ),
        (
            "Ours, the whole process, by where its byte code is:",
            noop.installed_table(found.installed),
        ),
    ]


async def _one_changed(options: Options) -> Pieces:
    hosts = 3 if options.quick else min(one_changed.HOSTS, options.largest)
    found = await one_changed.measure(options.nixpkgs, options.repeat, hosts)
    title = f"{_evaluated(real=found.real)}, {found.hosts} of them:"
    return [(title, one_changed.table(found))]


async def _one_host(options: Options) -> Pieces:
    found = await one_host.measure(options.nixpkgs, options.repeat)
    return [(f"{_evaluated(real=options.nixpkgs is not None)}:", one_host.table(found))]


async def _all_changed(options: Options) -> Pieces:
    """With the stand-in always, with real NixOS where there is one."""
    hosts = 2 if options.quick else all_changed.HOSTS
    pieces = []
    for nixpkgs in dict.fromkeys((None, options.nixpkgs)):
        found = await all_changed.measure(nixpkgs, options.repeat, hosts)
        pieces.append((f"{_evaluated(real=found.real)}:", all_changed.table(found)))
    return pieces


async def _evaluation(options: Options) -> Pieces:
    from tests.bench import evaluation

    assert options.nixpkgs is not None
    counts = (1,) if options.quick else evaluation.COUNTS
    runs = [await evaluation.measure(options.nixpkgs, counts) for _ in range(options.repeat)]
    return [("Copies of the example fleet's hosts, nothing cached:", evaluation.table(*runs))]


async def _copy(options: Options) -> Pieces:
    from tests.bench import copy

    small, large = (50, 5) if options.quick else (copy.SMALL_PATHS, copy.LARGE_MIB)
    found = await copy.measure(options.repeat, small_paths=small, large_mib=large)
    return [("", copy.table(found))]


async def _scale(options: Options) -> Pieces:
    from tests.bench import scale

    sizes = (100,) if options.quick else scale.SIZES
    return [("", scale.table(await scale.measure(size))) for size in sizes]


async def _inventory(options: Options) -> Pieces:
    from tests.bench import inventory

    hosts, runs = (100, 30) if options.quick else (inventory.HOSTS, inventory.RUNS)
    found = inventory.measure(options.repeat, hosts, runs)
    title = f"{hosts:,} hosts, {runs:,} past runs, {inventory.LARGE_RUNS} of them of all hosts:"
    return [(title, inventory.table(found))]


async def _learning(options: Options) -> Pieces:
    from tests.bench import learning

    assert options.nixpkgs is not None
    hosts = 1 if options.quick else learning.HOSTS
    found = await learning.measure(options.nixpkgs, hosts)
    return [
        (
            f"{hosts} of the example fleet's hosts, evaluated and then learned:",
            learning.table(found),
        )
    ]


async def _check(options: Options) -> Pieces:
    sizes = (5,) if options.quick else check.SIZES
    found = await check.measure(max(options.repeat, 5), sizes)
    title = f"{check.FILES:,} files, {check.READ_BY_EACH} of them read by each host:"
    return [(title, check.table(found))]


async def _facts(options: Options) -> Pieces:
    found = await facts.measure(options.repeat, 2 if options.quick else facts.HOSTS)
    return [("Hosts of the lab, whose tools are those of a small Debian:", facts.table(found))]


async def _secrets(options: Options) -> Pieces:
    sizes = (10,) if options.quick else secret_check.SIZES
    found = await secret_check.measure(max(options.repeat, 5), sizes)
    return [("For 40 recipients, each secret for two to six:", secret_check.table(found))]


BENCHMARKS = (
    Benchmark("noop", _noop, lacks_lab, peers=True),
    Benchmark("one-changed", _one_changed, lacks_lab, peers=True),
    Benchmark("one-host", _one_host, lacks_lab),
    Benchmark("all-changed", _all_changed, lacks_lab),
    Benchmark("evaluation", _evaluation, lacks_real),
    Benchmark("learning", _learning, lacks_real),
    Benchmark("copy", _copy, lacks_lab),
    Benchmark("scale", _scale),
    Benchmark("inventory", _inventory),
    Benchmark("check", _check),
    Benchmark("facts", _facts, lacks_lab),
    Benchmark("secrets", _secrets, secret_check.lacks_nix),
)
