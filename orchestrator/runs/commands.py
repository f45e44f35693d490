"""``run list``, ``logs``, ``prune``: what runs left on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.group import say
from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import duration, fleet_option, json_option
from orchestrator.render.output import clean

with lazily():
    from orchestrator.cli import console
    from orchestrator.host import setup
    from orchestrator.inventory import look, root
    from orchestrator.runs import draw, store
    from orchestrator.runs import prune as runs_prune

if TYPE_CHECKING:
    from orchestrator.core.host import Fleet


@click.command("list")
@click.option("-n", "--count", type=click.IntRange(1), default=20, show_default=True)
@fleet_option
@json_option
def list_runs(count: int, fleet: Path | None, as_json: bool) -> None:
    """Past runs from this machine, newest first."""
    runs = store.Runs(setup.state_folder(_open(fleet)))
    runs.require()
    past = runs.recent(count)
    if not past:
        say("no runs of this fleet on this machine yet")
    draw.draw_runs(past, console.results(), as_json=as_json)


@click.command()
@click.argument("run", type=click.IntRange(1), metavar="RUN")
@click.argument("host", metavar="[HOST]", required=False)
@click.option(
    "-n", "--lines", type=click.IntRange(1), metavar="N", help="The last N lines only, not all."
)
@fleet_option
@json_option
def logs(run: int, host: str | None, lines: int | None, fleet: Path | None, as_json: bool) -> int:
    """Print the log of RUN: what was run and what it said; of HOST only, where one is named.

    Of a host that was unchanged there is none. With --json, an object for each line.
    """
    found = store.Runs(setup.state_folder(_open(fleet))).run(run)
    damage = draw.draw_log(found.log(), host, lines, console.results(), as_json=as_json)
    if damage is not None:
        console.words().line(clean(f"warning: the log of run {run} is damaged here: {damage}"))
    return 0 if damage is None else 1


@click.command()
@click.option("--keep", type=click.IntRange(0), metavar="N", help="Keep the newest N runs.")
@click.option(
    "--older-than",
    callback=duration,
    metavar="TIME",
    help="Remove only runs older than that, such as 30d.",
)
@click.option("--unfinished", is_flag=True, help="Also runs that could be resumed, or are damaged.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@fleet_option
@json_option
def prune(
    keep: int | None,
    older_than: float | None,
    unfinished: bool,
    dry_run: bool,
    fleet: Path | None,
    as_json: bool,
) -> int:
    """Remove what old runs left: those that are not among the newest N, and older than TIME.

    Never the newest run, one that is at work, one whose system is pending for a host, or the two
    last deployments of each host, which a rollback needs.
    """
    if keep is None and older_than is None:
        raise click.UsageError("expected --keep N, --older-than TIME, or both")
    opened = _open(fleet)
    state = setup.state_folder(opened)
    runs, limits = store.Runs(state), runs_prune.Limits(keep, older_than, unfinished=unfinished)
    runs.require()
    needed = runs_prune.needed(runs, opened, state, say)
    pruned = runs_prune.prune_runs(runs, limits, needed, dry_run=dry_run)
    draw.draw_pruned(pruned, console.results(), console.words(), dry_run=dry_run, as_json=as_json)
    return 1 if pruned.failed else 0


def _open(fleet: Path | None) -> Fleet:
    return look.fleet(root.find_root(Path.cwd(), fleet))
