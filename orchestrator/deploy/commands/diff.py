"""``diff``: what a deployment would change on a host."""

from __future__ import annotations

import asyncio

import click

from orchestrator.cli.options import Target, host_argument, json_option, target_options


@click.command()
@host_argument
@target_options
@json_option
def diff(host: str, target: Target, as_json: bool) -> None:
    """Packages that a deployment would add, remove or change, against what HOST runs now."""
    from orchestrator.cli.fleet import one_host, open_setup
    from orchestrator.cli.output import results, words
    from orchestrator.deploy.diff import diff_host
    from orchestrator.deploy.draw_diff import draw_diff

    setup = open_setup(target)
    found = asyncio.run(diff_host(setup, one_host(setup.fleet, host)))
    draw_diff(found, results(), words(), as_json=as_json)
