"""``orchestrator host facts``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.group import say
from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import Target, json_option, selectors_argument, target_options
from orchestrator.core.values import replace

with lazily():
    from orchestrator.cli import console, opening
    from orchestrator.facts import ask, draw, schema
    from orchestrator.facts.plan import overrides
    from orchestrator.inventory import add_host, select

if TYPE_CHECKING:
    from orchestrator.host.setup import Setup


@click.command("facts")
@selectors_argument()
@click.option("--refresh", is_flag=True, help="Ask again, whatever is known.")
@click.option("--diff", is_flag=True, help="Ask again, and show what changed since.")
@click.option("--identifying", is_flag=True, help="Serial numbers, MACs and machine-ids, too.")
@click.option(
    "--import",
    "report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Ask nothing: take a facter.json for HOST.",
)
@click.option("--schema", "as_schema", is_flag=True, help="Only print JSON Schema of --json.")
@target_options
@json_option
def facts(
    selectors: tuple[str, ...],
    refresh: bool,
    diff: bool,
    identifying: bool,
    report: Path | None,
    as_schema: bool,
    target: Target,
    as_json: bool,
) -> int:
    """What hosts are made of: processor, memory, disks, graphics, networks, firmware, versions.

    Asked once, then remembered on this machine; nothing is installed on a host, or written
    there. Each value has its source; what is not known says why. Without root some of it is
    unknown, such as ECC and SMART. What the inventory says in `hardware:` goes before what the
    machine says, and both are shown. Exit 1 where a host does not answer.
    """
    if as_schema:
        click.echo(json.dumps(schema.json_schema(), indent=2))
        return 0
    setup = opening.open_setup(target)
    if report is not None:
        host = opening.one_host(setup.fleet, " ".join(selectors) or "*")
        answers: Sequence[ask.FactsAnswer] = (ask.import_report(setup, host, report),)
    else:
        hosts = select.select(setup.fleet, selectors)
        answers = console.run(ask.facts_of(setup, hosts, refresh=refresh or diff))
    if as_json:
        draw.draw_json(answers, console.results(), identifying=identifying, diff=diff)
    elif diff:
        draw.draw_changes(answers, console.results(), console.words())
    else:
        draw.draw_facts(answers, console.results(), console.words(), identifying=identifying)
    return int(any(answer.error is not None for answer in answers))


def propose_hardware(setup: Setup, made: add_host.Draft, new: add_host.NewHost) -> None:
    """Ask a host that was just added what it is made of; a person decides what is written of it.

    Args:
        setup: The fleet, with it.
        made: What was written of it.
        new: What that says.
    """
    found = console.run(ask.facts_of(setup, (setup.fleet.hosts[new.name],), refresh=True))[0].facts
    said = overrides.proposed(found.facts) if found is not None else {}
    if not said:
        say(f"{new.name}: nothing is proposed for hardware: see orchestrator host facts {new.name}")
        return
    more = replace(new, hardware=said)
    say(f"{new.name} says of itself:\n{more.lines()[-1].rstrip()}")
    if not sys.stdin.isatty():
        say(f"if that is right, add it to {made.file}: templates may ask for it")
    elif click.confirm(f"Add it to {made.file}?", default=True, err=True):
        root = Path(setup.fleet.root)
        add_host.write(root, add_host.amended(root, made, more))
