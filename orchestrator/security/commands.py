"""``orchestrator security check``."""

from __future__ import annotations

import click

from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import (
    Target,
    json_option,
    selectors_argument,
    target_options,
)
from orchestrator.core.errors import StepError

with lazily():
    from orchestrator.cli import console, opening
    from orchestrator.inventory import select
    from orchestrator.security import check as security_check
    from orchestrator.security import draw


@click.command("check")
@selectors_argument()
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "json", "markdown", "html", "prometheus")),
    default="text",
    help="How it is printed; json is --json.",
)
@click.option(
    "--sample",
    type=click.IntRange(0, 1000),
    default=5,
    show_default=True,
    metavar="COUNT",
    help="Paths of its closure that each host verifies.",
)
@click.option("--notes", is_flag=True, help="Show what is no alarm, too.")
@target_options
@json_option
def check(
    selectors: tuple[str, ...],
    form: str,
    sample: int,
    notes: bool,
    target: Target,
    as_json: bool,
) -> int:
    """What is on hosts that nobody declared: each is held against its own configuration.

    Sockets that listen, processes from outside the running system, accounts, keys, units, timers,
    /etc, setuid files, boot entries, kernel modules, a sample of the store. One read-only question,
    and one evaluation for each system. Notes, which are no alarm, are shown with --notes. Who is
    root on a host can have it say anything: docs/security-check.md

    Exit 0: nothing is found. 1: something is, or a host could not be checked.
    """
    setup = opening.open_setup(target)
    hosts = select.select(setup.fleet, selectors)
    found = console.run(security_check.check_hosts(setup, hosts, sample=sample))
    match "json" if as_json else form:
        case "json":
            draw.draw_json(found, console.results())
        case "markdown":
            draw.draw_markdown(found, console.results())
        case "html":
            draw.draw_html(found, console.results())
        case "prometheus":
            draw.draw_metrics(found, console.results())
        case _:
            draw.draw_checks(found, console.results(), console.words(), notes=notes)
    return int(any(isinstance(one, StepError) or one.alarms for one in found.values()))
