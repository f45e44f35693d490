"""``orchestrator catalogue``: look at features, tiers, and what hosts have."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.group import say
from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import (
    Target,
    fleet_option,
    host_argument,
    json_option,
    target_options,
)
from orchestrator.core.catalogue import Feature
from orchestrator.core.errors import UsageError
from orchestrator.core.host import Fleet

with lazily():
    from orchestrator.catalogue import check as catalogue_check
    from orchestrator.catalogue import draw, graph
    from orchestrator.catalogue import status as catalogue_status
    from orchestrator.cli import console, opening
    from orchestrator.core import stored
    from orchestrator.inventory import load, settings, tree
    from orchestrator.inventory import root as inventory_root

_FORMATS = ("text", "dot", "svg")


@click.command("list")
@json_option
@fleet_option
def list_features(as_json: bool, fleet: Path | None) -> None:
    """List the features and tiers of the catalogue."""
    root = inventory_root.find_root(Path.cwd(), fleet)
    draw.draw_list(load.load(root).fleet, console.results(), as_json=as_json)


@click.command()
@click.argument("feature", metavar="FEATURE")
@json_option
@fleet_option
def show(feature: str, as_json: bool, fleet: Path | None) -> None:
    """Print what the catalogue says of FEATURE, its settings, and which hosts have it, why."""
    root = inventory_root.find_root(Path.cwd(), fleet)
    inventory = load.load(root)
    found = known(inventory.fleet, feature)
    hosts = {
        host: str(one.origin)
        for host in inventory.fleet.hosts
        for one in inventory.origins(host)
        if one.key == "features" and one.value == found.name
    }
    has_schema = feature in inventory_root.schema_files(root)
    schema = settings.read_schema(root, feature) if has_schema else None
    draw.draw_feature(inventory.fleet, found, hosts, schema, console.results(), as_json=as_json)


def known(fleet: Fleet, name: str) -> Feature:
    """Find a feature of the catalogue.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in fleet.features:
        near = tree.nearest(name, fleet.features)
        raise UsageError(
            f"there is no feature {tree.quoted(name)} in the catalogue"
            + (f"; did you mean {near!r}?" if near else ""),
            hint="orchestrator catalogue list",
        )
    return fleet.features[name]


@click.command()
@host_argument
@click.option("--offline", is_flag=True, help="Do not ask the host what it runs.")
@target_options
@json_option
def status(host: str, offline: bool, target: Target, as_json: bool) -> None:
    """Print HOST's tier, features and settings: why, applied or pending, and what it lacks."""
    setup = opening.open_setup(target)
    inventory = load.load(Path(setup.fleet.root))
    one = opening.one_host(setup.fleet, host)
    found = console.run(catalogue_status.status_of(setup, inventory, one, ask=not offline))
    draw.draw_status(found, console.results(), as_json=as_json)


@click.command("graph")
@click.argument("host", metavar="[HOST]", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    default="text",
    metavar="FORMAT",
    help="text (default), dot or svg.",
)
@fleet_option
def graph_(host: str | None, form: str, fleet: Path | None) -> None:
    """Print what requires what and what conflicts: in the catalogue, or of what HOST has."""
    read = load.load(inventory_root.find_root(Path.cwd(), fleet)).fleet
    roots = opening.one_host(read, host).features if host else ()
    drawn = graph.graph_of(read.features, roots)
    lines = {"text": graph.text_lines, "dot": graph.dot_lines, "svg": graph.svg_lines}[form]
    for line in lines(drawn):
        click.echo(line)


@click.command()
@fleet_option
@json_option
def check(fleet: Path | None, as_json: bool) -> int:
    """Find what nothing implements, what no host uses, and what contradicts itself."""
    read = load.load(inventory_root.find_root(Path.cwd(), fleet)).fleet
    findings = catalogue_check.check(read)
    wrong = [one for one in findings if one.wrong]
    if as_json:
        console.print_done(not wrong, findings=stored.plain(findings))
    else:
        draw.draw_findings(findings, console.results())
    say(f"catalogue: {len(read.features)} features, {len(wrong)} wrong")
    return 1 if wrong else 0
