"""``just fault-test --campaign``: random rounds, told as they end, and counted."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.lab.faults.campaign import counts, crew
from tests.lab.faults.campaign.plan import ROUNDS, plan
from tests.lab.faults.campaign.play import Played

Say = Callable[..., None]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the campaign takes."""
    group = parser.add_argument_group("the campaign")
    group.add_argument("--campaign", action="store_true", help="random faults, from seeds")
    group.add_argument("--seeds", default="1..10", metavar="A..B", help="default: %(default)s")
    group.add_argument("--seed", type=int, metavar="S", help="one alone")
    group.add_argument("--round", type=int, metavar="N", help="of --seed, one round alone")
    group.add_argument("--rounds", type=int, default=ROUNDS, help="of each seed, the first N")
    group.add_argument("--faults", metavar="NAME,…", help="only rounds of these")
    group.add_argument("--workers", type=int, default=4, help="how many labs (%(default)s)")
    group.add_argument("--results", type=Path, metavar="FILE", help="go on from it, and add to it")


def run(given: argparse.Namespace, labs: Path, page: Path, say: Say) -> int:
    """Play a campaign; 1 where anything was not as it must be, or a cell lacks rounds."""
    played = crew.kept(given.results) if given.results else []
    keys = _keys(given, played)
    whole = given.seed is None and not given.faults and given.rounds == ROUNDS

    def tell(result: Played) -> None:
        if given.results:
            crew.keep(given.results, result)
        say(*_lines(result, len(played)))

    with tempfile.TemporaryDirectory(prefix="campaign-", dir=labs) as folder:
        crew.run(keys, given.workers, Path(folder), tell, played, fill=whole)
    if given.write:
        counts.write(page, played)
    say("", counts.table(played))
    wrong = [one for one in played if one.wrong]
    say("", f"{len(played)} rounds, {len(wrong)} not as they must be")
    return int(bool(wrong) or (whole and bool(counts.lacking(played))))


def _keys(given: argparse.Namespace, played: list[Played]) -> list[crew.Key]:
    if given.seed is not None and given.round is not None:
        return [(given.seed, given.round)]
    first, _, last = given.seeds.partition("..")
    seeds = range(int(first), int(last or first) + 1) if given.seed is None else [given.seed]
    keys = list(crew.keys_of(seeds, given.rounds, played))
    names = given.faults.split(",") if given.faults else None
    return [key for key in keys if names is None or plan(*key).fault.name in names]


def _lines(one: Played, number: int) -> list[str]:
    where = f"{number:4} {one.seconds:5.1f} s  seed {one.seed} round {one.number}: "
    if one.why_not:
        return [f"{where}{one.fault}@{one.aimed}: not played: {one.why_not[-300:]}"]
    second = f", second {one.second}" if one.second else ""
    lines = [
        f"{where}{one.fault}@{one.column} ({one.way}{second}): {one.end}, {one.outcome}, "
        f"{one.peak >> 20} MiB"
    ]
    if one.wrong:
        lines += [f"       wrong: {line[:600]}" for line in one.wrong]
        again = f"--seed {one.seed} --round {one.number}"
        lines.append(f"       to repeat it: just fault-test --campaign {again}")
    return lines
