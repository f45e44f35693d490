"""``status`` and ``ping``: ask hosts, change nothing."""

from __future__ import annotations

from collections.abc import Sequence

import click

from orchestrator.cli.options import Target, json_option, selectors_argument, target_options
from orchestrator.core.answer import Answer


def ask(selectors: Sequence[str], target: Target) -> tuple[Answer, ...]:
    """Ask the hosts that are selected what they run."""
    from orchestrator.cli.fleet import open_setup
    from orchestrator.cli.loop import run
    from orchestrator.host.status import ask_all
    from orchestrator.inventory.select import select

    setup = open_setup(target)
    return run(ask_all(setup, select(setup.fleet, selectors)))


@click.command()
@selectors_argument()
@target_options
@json_option
def status(selectors: tuple[str, ...], target: Target, as_json: bool) -> int:
    """What each host runs and will boot, and who deployed it. Exit 1 where one does not answer."""
    from orchestrator.cli.output import results, words
    from orchestrator.host.draw.status import draw_status

    answers = ask(selectors, target)
    draw_status(answers, results(), words(), as_json=as_json)
    return int(any(answer.error is not None for answer in answers))


@click.command()
@selectors_argument()
@target_options
@json_option
def ping(selectors: tuple[str, ...], target: Target, as_json: bool) -> int:
    """Which hosts let us in, and how fast. Exit 1 where one does not."""
    from orchestrator.cli.output import results, words
    from orchestrator.host.draw.status import draw_ping

    answers = ask(selectors, target)
    draw_ping(answers, results(), words(), as_json=as_json)
    return int(any(answer.error is not None for answer in answers))
