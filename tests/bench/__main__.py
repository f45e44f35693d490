"""``just perf-test``: run benchmarks and write what they found into ``docs/performance.md``."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import click

from tests.bench import machine
from tests.bench.bench_lab import to_store
from tests.bench.benchmark import Options, part
from tests.bench.document import replace, revisions
from tests.bench.registry import BENCHMARKS

PAGE = machine.REPOSITORY / machine.PAGE
NAMES = [benchmark.name for benchmark in BENCHMARKS]


def _chosen(_: click.Context, __: click.Parameter, text: str | None) -> list[str]:
    chosen = text.split(",") if text else NAMES
    if unknown := sorted(set(chosen) - set(NAMES)):
        raise click.BadParameter(f"{', '.join(unknown)}; there are {', '.join(NAMES)}")
    return chosen


@click.command()
@click.option("--only", callback=_chosen, metavar="NAME,…", help=f"Some of {', '.join(NAMES)}.")
@click.option(
    "--nixpkgs",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    help="A real nixpkgs to evaluate hosts with (else the lab's stand-in).",
)
@click.option("--repeat", default=3, show_default=True, help="Repetitions of each measurement.")
@click.option("--largest", default=20, show_default=True, help="The most hosts beside peers.")
@click.option("--quick", is_flag=True, help="Small, once, and nothing is written to the page.")
def main(only: list[str], nixpkgs: Path | None, repeat: int, largest: int, quick: bool) -> None:
    """Measure, print the tables, and write them into docs/performance.md: of a commit alone.

    Peers take part where they are on the PATH: nixos-rebuild-ng, colmena, deploy.
    """
    # A person's Python keeps what it compiled; so does the one that is measured.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not quick and (changed := machine.uncommitted()):
        raise click.ClickException(
            f"the page would say what no revision is: not committed: {changed}\n"
            "commit it, or measure with --quick, which writes nothing"
        )
    if nixpkgs is not None and shutil.which("nix"):
        # Once, for all of them: some 50,000 files.
        nixpkgs = Path(to_store(nixpkgs, os.environ))
    options = Options(nixpkgs, 1 if quick else repeat, quick, largest)
    complete = True
    for benchmark in BENCHMARKS:
        if benchmark.name not in only:
            continue
        click.echo(f"{benchmark.name}: measuring", err=True)
        if not quick:
            machine.settle()
        text, ran = part(benchmark, options)
        complete = complete and ran
        click.echo(f"\n## {benchmark.name}\n\n{text}\n")
        if not quick:
            # At once: what was measured is not lost by what comes after it.
            page = replace(PAGE.read_text(), benchmark.name, text)
            PAGE.write_text(replace(page, "revisions", revisions(page, NAMES)))
    sys.exit(not complete)


if __name__ == "__main__":
    main()
