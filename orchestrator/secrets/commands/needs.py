"""After a host's key became known: which secrets it needs, and what makes them readable for it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.render.text import clean

if TYPE_CHECKING:
    from orchestrator.host.setup import Setup


def tell_needs(setup: Setup, host: str) -> None:
    """Tell what a host needs of the fleet's secrets; without a ``secrets.nix`` there is nothing.

    It comes after what was asked for, so what cannot be found out is told and is no failure.
    """
    from orchestrator.secrets.place import find

    file = find(Path(setup.fleet.root))
    if file is None:
        return
    from orchestrator.core.errors import OrchestratorError

    click.echo("looking at which secrets it needs …", err=True)
    try:
        _find_and_draw(setup, host, file)
    except OrchestratorError as error:
        click.echo(f"which secrets {host} needs is not known: {clean(error.message)}", err=True)
        click.echo(f"hint: once that is cured: orchestrator host trust {host}", err=True)


def _find_and_draw(setup: Setup, host: str, file: Path) -> None:
    from orchestrator.cli.output import words
    from orchestrator.secrets.draw.needs import draw_needs, draw_unevaluated
    from orchestrator.secrets.needs import FoundNeeds, needs_of
    from orchestrator.secrets.place import place_of

    async def work() -> tuple[str, FoundNeeds]:
        place = await place_of(file)
        return place.name, await needs_of(place, setup, host)

    rules, found = asyncio.run(work())
    if found.failed is not None:
        draw_unevaluated(host, found.failed.message, words())
    draw_needs(found.needs, rules, words())
