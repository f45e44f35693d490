"""``update``: move the flake's pins."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import click

from orchestrator.cli.options import Target, target_options


@click.command()
@click.argument("inputs", nargs=-1, metavar="[INPUT]...")
@target_options
def update(inputs: tuple[str, ...], target: Target) -> int:
    """Move the flake's pins, all or those of INPUT; commit them when every host still evaluates.

    Where a host does not, the lock file is put back as it was.
    """
    from orchestrator.cli.fleet import open_setup
    from orchestrator.cli.output import words
    from orchestrator.fleet.update import update_flake

    # Pins come from the internet, which a lab's network has not; and they are not the lab's.
    setup = open_setup(replace(target, lab=False))
    words().line(asyncio.run(update_flake(setup, inputs)))
    return 0
