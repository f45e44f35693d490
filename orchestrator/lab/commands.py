"""``orchestrator lab``: the fleet's hosts, real, on this machine."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import fleet_option, json_done_option, json_option
from orchestrator.core.errors import UsageError
from orchestrator.core.units import MOST_NAMED, listing

with lazily():
    from orchestrator.cli import console as cli_console
    from orchestrator.core import members
    from orchestrator.inventory import load
    from orchestrator.inventory import root as inventory_root
    from orchestrator.lab import faults, lab, own_nixpkgs, places


if TYPE_CHECKING:
    from orchestrator.core.host import Fleet
    from orchestrator.lab.host import LabStatus


_ALIKE = 2
"""Of many equal machines so many show what one of them cannot: names, waves, strangers."""


def fleet_root(explicit: Path | None) -> Path:
    """Return the fleet's folder."""
    return inventory_root.find_root(Path.cwd(), explicit)


def _source(it: lab.Lab, fleet: Fleet, named: str | None) -> lab.Source | None:
    """What the hosts are to be built by, by the command line or else the inventory."""
    if named is not None:
        return lab.Source(own_nixpkgs.reference(named, Path.cwd()), fleet.flake, again=True)
    if fleet.lab_nixpkgs is not None:
        return lab.Source(own_nixpkgs.reference(fleet.lab_nixpkgs, it.fleet_root), fleet.flake)
    return None


def _lab(fleet: Path | None) -> lab.Lab:
    begin = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"[{time.monotonic() - begin:5.1f} s] {text}", err=True)

    return lab.Lab.of(fleet_root(fleet), say)


def _show(status: LabStatus) -> None:
    for host in status.hosts:
        click.echo(f"{host.name:20} {host.address:15} {host.state}")
    if not status.hosts:
        click.echo("no lab; make one with: orchestrator lab up", err=True)


@click.command()
@click.argument("hosts", nargs=-1)
@click.option("--fresh", is_flag=True, help="Forget the hosts' state: back to generation 1.")
@click.option("--disk", metavar="SIZE", help="Give new hosts a disk with an end, such as 1G.")
@click.option(
    "--nixpkgs",
    metavar="FLAKEREF|PATH",
    help="Build the hosts by this nixpkgs; `stand-in`: by the lab's own, which needs no cache.",
)
@click.option(
    "--secrets",
    type=click.Choice(["own", "placeholder"]),
    help="What hosts have for the fleet's secrets: their own, or a text that stands for each.",
)
@fleet_option
@json_done_option
def up(
    hosts: tuple[str, ...],
    fresh: bool,
    disk: str | None,
    nixpkgs: str | None,
    secrets: str | None,
    fleet: Path | None,
    as_json: bool,
) -> None:
    """Start HOSTS (all of the fleet's without); those that run stay as they are.

    Of many equal machines, which a class's name means too, the first two are started where none
    of them is named.
    """
    it = _lab(fleet)
    inventory = load.load(it.fleet_root).fleet
    secrets = secrets or inventory.lab_secrets
    found = it.up(
        _named(inventory, hosts),
        fresh=fresh,
        disk_size=disk,
        source=_source(it, inventory, nixpkgs),
        placeholders=None if secrets is None else secrets == "placeholder",
    )
    if as_json:
        cli_console.print_done(**found.to_json())
    else:
        _show(found)


def _named(fleet: Fleet, names: Sequence[str]) -> list[str]:
    """The hosts that are started: of entries' names those that stand for them.

    Raises:
        UsageError: There is no such host or class.
    """
    standing: dict[str, list[str]] = {}
    for entry in members.entries_of(fleet.hosts):
        equal = entry.members
        name = entry.host.name
        standing[name] = [name] if equal is None else [one.name for one in equal[:_ALIKE]]
    if unknown := sorted({*names} - {*standing, *fleet.hosts}):
        raise UsageError(
            f"the fleet has no host {', '.join(unknown)}",
            hint=f"it has {listing([*standing], MOST_NAMED)}",
        )
    found = (standing.get(name, [name]) for name in names or standing)
    return list(dict.fromkeys(name for some in found for name in some))


@click.command()
@click.option("--purge", is_flag=True, help="Remove the hosts' state as well.")
@fleet_option
def down(purge: bool, fleet: Path | None) -> None:
    """Stop everything that the lab runs."""
    _lab(fleet).down(purge=purge)


@click.command()
@json_option
@fleet_option
def status(as_json: bool, fleet: Path | None) -> None:
    """Show each host's address and state."""
    found = _lab(fleet).status()
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        _show(found)


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("host")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@fleet_option
def ssh(host: str, command: tuple[str, ...], fleet: Path | None) -> None:
    """Open a shell on HOST, or run COMMAND there."""
    it = _lab(fleet)
    it.host(host)
    places.enter_network(it.network.require())
    os.execvp("ssh", ["ssh", "-F", str(it.places.ssh_config), host, *command])  # noqa: S606, S607


@click.command()
@click.argument("host")
@fleet_option
def console(host: str, fleet: Path | None) -> None:
    """Print what HOST said on its console, over all its boots."""
    click.echo(_lab(fleet).host(host).console.read_text(errors="replace"), nl=False)


def _fault_table() -> str:
    rows = "\n".join(f"  {name:11} {it.summary}" for name, it in faults.FAULTS.items())
    return f"Put a fault of some KIND into HOST.\n\n\b\n{rows}"


@click.command(help=_fault_table())
@click.argument("host")
@click.argument("kind")
@click.option("--rate", default="8mbit", show_default=True, help="For slow, in tc's words.")
@click.option("--ms", default=50, show_default=True, help="For delay.")
@click.option("--loss", default=0.0, show_default=True, help="For delay and lossy, in per cent.")
@click.option("--size", default="16m", show_default=True, help="For disk-full and memory-full.")
@fleet_option
def fault(host: str, kind: str, fleet: Path | None, **options: Any) -> None:
    """Put a fault into a host."""
    _lab(fleet).fault(host, kind, faults.FaultOptions(**options))
