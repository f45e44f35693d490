"""``run list``: what was run from this machine."""

from __future__ import annotations

import click

from orchestrator.cli.options import Target, fleet_options, json_option


@click.command("list")
@click.option("-n", "--count", type=click.IntRange(1), default=20, show_default=True)
@fleet_options
@json_option
def list_runs(count: int, target: Target, as_json: bool) -> None:
    """Past runs from this machine, newest first.

    A run that could not be entered into the history's database is told by its folder, and marked.
    """
    from orchestrator.cli.fleet import open_inventory
    from orchestrator.cli.run import results, words
    from orchestrator.host.setup import state_folder
    from orchestrator.runs.draw import draw_history
    from orchestrator.runs.history import History

    fleet = open_inventory(target).fleet
    past = History(state_folder(fleet) / "history.db").recent(count)
    draw_history(past.runs, past.notice, results(), words(), as_json=as_json)
