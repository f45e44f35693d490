"""``run list``: what was run from this machine."""

from __future__ import annotations

import click

from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import Target, fleet_options, json_option

with lazily():
    from orchestrator.cli import console, opening
    from orchestrator.host import setup
    from orchestrator.runs import draw, history


@click.command("list")
@click.option("-n", "--count", type=click.IntRange(1), default=20, show_default=True)
@fleet_options
@json_option
def list_runs(count: int, target: Target, as_json: bool) -> None:
    """Past runs from this machine, newest first.

    A run that could not be entered into the history's database is told by its folder, and marked.
    """
    fleet = opening.open_inventory(target).fleet
    past = history.History(setup.state_folder(fleet) / "history.db").recent(count)
    draw.draw_history(past.runs, past.notice, console.results(), console.words(), as_json=as_json)
