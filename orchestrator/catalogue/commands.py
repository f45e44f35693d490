"""``orchestrator catalogue``: features, tiers, and what hosts have; a feature turned on or off."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orchestrator.cli.group import say
from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import (
    Target,
    fleet_option,
    host_argument,
    json_option,
    selectors_argument,
    skip_preflight_option,
    target_options,
    verbose_option,
)
from orchestrator.core.catalogue import Feature
from orchestrator.core.errors import UsageError
from orchestrator.core.host import Fleet, Host
from orchestrator.core.plan import Goal
from orchestrator.core.run import DeployRequest
from orchestrator.core.values import replace

with lazily():
    from orchestrator.catalogue import change, draw, graph
    from orchestrator.catalogue import check as catalogue_check
    from orchestrator.catalogue import status as catalogue_status
    from orchestrator.cli import console, opening
    from orchestrator.core import git, stored
    from orchestrator.deploy.commands import deploy
    from orchestrator.inventory import (
        edit_features,
        fleet_json,
        load,
        look,
        select,
        setting_schemas,
        tree,
    )
    from orchestrator.inventory import root as inventory_root
    from orchestrator.render import output

if TYPE_CHECKING:
    from orchestrator.host.setup import Setup
    from orchestrator.inventory.add_host import Draft
    from orchestrator.inventory.edit_features import FeatureEdit

F = TypeVar("F", bound=Callable[..., Any])

_FORMATS = ("text", "dot", "svg")


@click.command("list")
@json_option
@fleet_option
def list_features(as_json: bool, fleet: Path | None) -> None:
    """List the features and tiers of the catalogue."""
    root = inventory_root.find_root(Path.cwd(), fleet)
    draw.draw_list(look.fleet(root), console.results(), as_json=as_json)


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
    schema = setting_schemas.read_schema(root, feature) if has_schema else None
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
    read = look.fleet(inventory_root.find_root(Path.cwd(), fleet))
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
    read = look.fleet(inventory_root.find_root(Path.cwd(), fleet))
    findings = catalogue_check.check(read)
    wrong = [one for one in findings if one.wrong]
    if as_json:
        console.print_done(not wrong, findings=stored.plain(findings))
    else:
        draw.draw_findings(findings, console.results())
    say(f"catalogue: {len(read.features)} features, {len(wrong)} wrong")
    return 1 if wrong else 0


_EDIT_OPTIONS = (
    click.argument("feature", metavar="FEATURE"),
    selectors_argument(required=True),
    click.option("--dry-run", is_flag=True, help="Show it; write nothing."),
    click.option("--later", is_flag=True, help="Write it; evaluate and plan nothing now."),
    click.option("--deploy", "deploy_now", is_flag=True, help="Deploy it, instead of a plan."),
    click.option(
        "--goal",
        type=click.Choice([goal.value for goal in Goal]),
        metavar="GOAL",
        default=Goal.SWITCH.value,
        help="As of `deploy`: boot, test, dry-activate, … (else switch).",
    ),
    skip_preflight_option,
    target_options,
    verbose_option,
)


def _edit_options(command: F) -> F:
    return functools.reduce(lambda made, option: option(made), reversed(_EDIT_OPTIONS), command)


@click.command()
@click.option("--set", "said", multiple=True, metavar="KEY=VALUE", help="A setting; repeatable.")
@_edit_options
def enable(feature: str, said: tuple[str, ...], **options: Any) -> int:
    """Turn FEATURE on: in the inventory, then evaluate and plan; with --deploy, deploy.

    Only the hosts' own entries change, and of their file nothing else. The way back is git's.
    """
    return _edit(feature, True, change.read_settings(said), **options)


@click.command()
@_edit_options
def disable(feature: str, **options: Any) -> int:
    """Turn FEATURE off: in the inventory, then evaluate and plan; with --deploy, deploy.

    It goes from the hosts' own entries; what a template gives is removed by `remove` there.
    """
    return _edit(feature, False, {}, **options)


def _edit(
    feature: str,
    on: bool,
    said: dict[str, Any],
    *,
    selectors: tuple[str, ...],
    target: Target,
    dry_run: bool,
    later: bool,
    deploy_now: bool,
    goal: str,
    skip_preflight: tuple[str, ...],
    verbose: bool,
) -> int:
    """Show what changes, write it, and plan or deploy it."""
    if dry_run + later + deploy_now > 1:
        raise click.UsageError("--dry-run, --later and --deploy exclude each other")
    setup = opening.open_setup(replace(target, dry=dry_run))
    edit = edit_features.FeatureEdit(feature, on, said)
    hosts = select.select(setup.fleet, selectors)
    drafts, fleet = _drafted(setup, edit, hosts)
    if not drafts:
        say("the inventory says so already")
    elif not dry_run:
        _write(Path(fleet.root), drafts, frozen=target.frozen)
    if dry_run or not (drafts or deploy_now):
        return 0
    names = tuple(host.name for host in hosts)
    typed = " ".join(map(shlex.quote, selectors if len(names) > len(selectors) else names))
    if later:
        say(f"to apply it: orchestrator deploy {typed}")
        return 0
    request = DeployRequest(
        names, Goal(goal), plan_only=not deploy_now, skip_preflight=skip_preflight
    )
    code = deploy.run_request(_with(setup, fleet), target, request, as_json=False, verbose=verbose)
    if not deploy_now:
        say(
            f"nothing is deployed yet: orchestrator deploy {typed}; with --goal boot at "
            "the next boot, with --goal dry-activate as a rehearsal"
        )
    return code


def _drafted(
    setup: Setup, edit: FeatureEdit, hosts: Sequence[Host]
) -> tuple[tuple[Draft, ...], Fleet]:
    """Draft the change, and show it; give the fleet as it would be."""
    root = Path(setup.fleet.root)
    before = load.load(root)
    known(before.fleet, edit.feature)
    drafts = edit_features.draft(root, edit, [host.name for host in hosts])
    after = load.load(root, {one.file: one.after.decode() for one in drafts})
    draw.draw_changes(change.changes(setup, before, after, hosts), console.results())
    for line in change.patch(drafts):
        console.results().line(output.clean(line))
    return drafts, after.fleet


def _write(root: Path, drafts: Sequence[Draft], *, frozen: bool) -> None:
    """Write the drafts and ``fleet.json``, and say what the way back is.

    Raises:
        UsageError: ``fleet.json`` is not to be written; then nothing is.
    """
    files = [one.file for one in drafts]
    read = [*files, *(one for one in (fleet_json.PATH,) if (root / one).exists())]
    if frozen and fleet_json.PATH in read:
        raise UsageError(
            f"{fleet_json.PATH} would change with the inventory, and --frozen keeps it as it is: "
            "nothing was written",
            hint="leave --frozen out, or see what would change: --dry-run",
        )
    is_clean = console.run(git.is_clean(str(root), *read))
    edit_features.write(root, drafts)
    if fleet_json.refresh(root, load.load(root), frozen=False):
        files.append(fleet_json.PATH)
    say(f"written: {', '.join(files)}; git diff shows it")
    if is_clean:
        say(f"the way back: git restore {' '.join(files)}")
    else:
        say("there were changes that are not committed: git restore would take these back, too")


def _with(setup: Setup, fleet: Fleet) -> Setup:
    """The setup, of the fleet as it is now; its machines are those that were found, a lab's too."""
    if not setup.in_lab:
        return replace(setup, fleet=replace(fleet, limits=setup.fleet.limits))
    hosts = {
        name: replace(host, machine_id=setup.fleet.hosts[name].machine_id)
        for name, host in fleet.hosts.items()
    }
    return replace(setup, fleet=replace(fleet, limits=setup.fleet.limits, hosts=hosts))
