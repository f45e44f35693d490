"""``orchestrator inventory``: look at what the inventory says; write ``fleet.json``."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from orchestrator.cli.group import say
from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import (
    fleet_option,
    host_argument,
    json_done_option,
    json_option,
    selectors_argument,
)
from orchestrator.core.host import Fleet, Host
from orchestrator.core.members import entries_of

with lazily():
    from orchestrator.cli import console
    from orchestrator.inventory import again, classes, fleet_json, look, select
    from orchestrator.inventory import generate as listings
    from orchestrator.inventory import root as inventory_root


@click.command()
@host_argument
@json_option
@fleet_option
def show(host: str, as_json: bool, fleet: Path | None) -> None:
    """Print each value of HOST with the file and line that it comes from."""
    values = again.origins(inventory_root.find_root(Path.cwd(), fleet), host)
    if as_json:
        _print_json({"host": host, "values": [value.as_json() for value in values]})
    else:
        rows = [(value.key, json.dumps(value.value), str(value.origin)) for value in values]
        _print_table(rows)


@click.command()
def schema() -> None:
    """Print JSON Schema of an inventory file, for editors."""
    _print_json(fleet_json.json_schema())


@click.command("list")
@selectors_argument()
@click.option("--members", is_flag=True, help="Each of many equal machines, on its own line.")
@json_option
@fleet_option
def list_(selectors: tuple[str, ...], members: bool, as_json: bool, fleet: Path | None) -> None:
    """List the hosts that the selectors mean; all of them without any.

    A class of equal machines that is meant as a whole is one line, with their number.
    """
    read = look.fleet(inventory_root.find_root(Path.cwd(), fleet))
    if as_json:
        _print_json([host.name for host in select.select(read, selectors)])
        return
    rows = _each(read, selectors) if members else _by_class(read, selectors)
    _print_table([("HOST", "TEMPLATE", "PROFILES", "ROLES", "TAGS"), *rows])


@click.command()
@click.option("--no-run", is_flag=True, help="Run none of the commands that list members.")
@fleet_option
@json_done_option
def generate(no_run: bool, fleet: Path | None, as_json: bool) -> None:
    """Write inventory/fleet.json from the YAML files.

    Where members of a class are listed by a command, it is run first, and what it says is written
    to inventory/generated/.
    """
    root = inventory_root.find_root(Path.cwd(), fleet)
    for listing in () if no_run else listings.listings(root):
        say(f"{listing.name}: running {shlex.join(listing.command)}")
        changed = console.run(listings.generate(root, listing))
        file = classes.generated_file(listing.name)
        say(f"{file} {'is written; commit it' if changed else 'is up to date'}")
    written = again.generate(root)
    say(f"{fleet_json.PATH} {'is written' if written else 'is up to date'}")
    if as_json:
        console.print_done(file=fleet_json.PATH, written=written)


def _each(fleet: Fleet, selectors: Sequence[str]) -> list[tuple[str, ...]]:
    return [_row(host.name, host) for host in select.select(fleet, selectors)]


def _by_class(fleet: Fleet, selectors: Sequence[str]) -> list[tuple[str, ...]]:
    """A row for each host, and one for each class of which every member is meant."""
    hosts = select.select(fleet, selectors)
    meant = Counter(host.of for host in hosts)
    whole = {
        entry.host.name: _row(f"{entry.host.name} ({len(entry.members):,})", entry.host)
        for entry in entries_of(fleet.hosts)
        if entry.members and meant[entry.host.name] == len(entry.members)
    }
    rows = {host.of if host.of in whole else host.name: host for host in hosts}
    return [whole.get(name) or _row(host.name, host) for name, host in rows.items() if name]


def _row(name: str, host: Host) -> tuple[str, ...]:
    lists = (host.profiles, host.roles, host.tags)
    return (name, host.template or "-", *(",".join(names) or "-" for names in lists))


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


def _print_table(rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows with their columns aligned."""
    listed = list(rows)
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    form = "  ".join(f"{{:<{width}}}" for width in widths)
    click.echo("\n".join(form.format(*row).rstrip() for row in listed))
