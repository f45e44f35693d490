"""``secrets status`` and ``secrets recipients``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import Target, json_option, selectors_argument, target_options
from orchestrator.secrets.commands.place import open_rules, rules_option

if TYPE_CHECKING:
    from orchestrator.secrets.model.status import RecipientStatus, SecretStatus


@click.command()
@selectors_argument()
@rules_option
@json_option
@target_options
def status(selectors: tuple[str, ...], rules: Path | None, as_json: bool, target: Target) -> None:
    """Each secret, or those of some hosts: who can read it, its size, and what is wrong.

    Who can read it is what the file says, and not what secrets.nix declares. A name with a
    question mark is declared, and the file does not tell. The size is that of the plaintext.
    """
    from orchestrator.cli.output import results
    from orchestrator.secrets.draw.overview import draw_status
    from orchestrator.secrets.place import place_of
    from orchestrator.secrets.status import status as look

    file, context = open_rules(rules, target, selectors)

    async def work() -> tuple[SecretStatus, ...]:
        return await look(await place_of(file), context)

    draw_status(asyncio.run(work()), results(), as_json=as_json)


@click.command()
@rules_option
@json_option
@target_options
def recipients(rules: Path | None, as_json: bool, target: Target) -> None:
    """Each key that secrets are encrypted to: whose it is, and how many secrets it reads."""
    from orchestrator.cli.output import results
    from orchestrator.secrets.draw.overview import draw_recipients
    from orchestrator.secrets.place import place_of
    from orchestrator.secrets.recipients import recipients as look

    file, context = open_rules(rules, target)

    async def work() -> tuple[RecipientStatus, ...]:
        return await look(await place_of(file), context)

    draw_recipients(asyncio.run(work()), results(), as_json=as_json)
