"""``risk``: what hosts' configurations open, and to whom."""

from __future__ import annotations

import click

from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import Target, fleet_options, json_option, selectors_argument
from orchestrator.core.errors import StepError

with lazily():
    from orchestrator.cli import console, opening
    from orchestrator.inventory import select
    from orchestrator.risk import assess, draw


@click.command()
@selectors_argument()
@fleet_options
@json_option
def risk(selectors: tuple[str, ...], target: Target, as_json: bool) -> int:
    """The risk of what hosts are to run, term by term: points, what it is, which option says so.

    It is derived from the evaluated configuration; no host is contacted. Exit 1 where one does not
    evaluate. What each term weighs, and why: docs/risk.md
    """
    setup = opening.open_setup(target)
    hosts = select.select(setup.fleet, selectors)
    found = console.run(assess.assess_hosts(setup, hosts))
    draw.draw_assessments(found, console.results(), console.words(), as_json=as_json)
    return int(any(isinstance(one, StepError) for one in found.values()))
