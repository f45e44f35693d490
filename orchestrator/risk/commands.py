"""``risk``: what hosts' configurations open, and to whom."""

from __future__ import annotations

import click

from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import Target, json_option, selectors_argument, target_options
from orchestrator.core.errors import StepError

with lazily():
    from orchestrator.cli import console, opening
    from orchestrator.inventory import select
    from orchestrator.risk import assess, draw
    from orchestrator.risk import running as assess_running


@click.command()
@selectors_argument()
@click.option("--running", is_flag=True, help="Of what they run: asked, by its commit.")
@target_options
@json_option
def risk(selectors: tuple[str, ...], running: bool, target: Target, as_json: bool) -> int:
    """The risk of what hosts are to run, term by term: points, what it is, which option says so.

    It is derived from the evaluated configuration, and no host is contacted but with --running:
    then the commit that it was deployed from is evaluated, for the next plan to compare with. Exit
    1 where one is not known. What each term weighs, and why: docs/risk.md
    """
    setup = opening.open_setup(target)
    hosts = select.select(setup.fleet, selectors)
    of = assess_running.assess_running if running else assess.assess_hosts
    found = console.run(of(setup, hosts))
    draw.draw_assessments(found, console.results(), console.words(), as_json=as_json)
    return int(any(isinstance(one, StepError) for one in found.values()))
