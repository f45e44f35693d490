"""``rollback``: hosts go back to a system that they have, as one more deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.group import say
from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import (
    Target,
    despite_hold_option,
    json_option,
    reboot_option,
    selectors_argument,
    skip_preflight_option,
    target_options,
    verbose_option,
)
from orchestrator.core.generation import BeforeLast, ToGeneration, ToSystem, WayBack
from orchestrator.core.host import BuildOn, BuildSite
from orchestrator.core.run import DeployRequest, Reboot, left_out
from orchestrator.core.store import OutPath
from orchestrator.deploy.commands.deploy import run_request

with lazily():
    from orchestrator.cli import opening
    from orchestrator.deploy.changing import rollback as changing_rollback


if TYPE_CHECKING:
    from orchestrator.host.setup import Setup

HELP = """Return hosts to what they ran before their last deployment, or to what you name.

\b
  orchestrator rollback p620              before its last deployment
  orchestrator rollback p620 --to 41      to one of `orchestrator host generations p620`
  orchestrator rollback --run 12          every host of a run to what it ran before it
  orchestrator rollback p620 --run 12     one host of it

Nothing is evaluated or built. It is a deployment like any other: proved, verified, committed,
and rolled back if it fails. No generation is deleted.
"""


def _generation(_: click.Context, __: click.Parameter, text: str | None) -> WayBack | None:
    if text is None:
        return None
    if text.isascii() and text.isdecimal():
        return ToGeneration(int(text))
    try:
        return ToSystem(OutPath(text))
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither a generation nor a store path") from None


@click.command(help=HELP)
@selectors_argument()
@click.option(
    "--to",
    metavar="GENERATION",
    callback=_generation,
    help="A generation of the host's, by its number or its store path.",
)
@click.option("--run", "number", type=click.IntRange(1), help="What hosts ran before this run.")
@click.option("--dry-run", "plan_only", is_flag=True, help="Say what would be done; touch nothing.")
@click.option("--no-verify", is_flag=True, help="Skip verification after activation.")
@despite_hold_option
@skip_preflight_option
@reboot_option
@target_options
@json_option
@verbose_option
def rollback(
    selectors: tuple[str, ...],
    to: WayBack | None,
    number: int | None,
    plan_only: bool,
    no_verify: bool,
    despite_hold: str | None,
    skip_preflight: tuple[str, ...],
    reboot: Reboot,
    target: Target,
    as_json: bool,
    verbose: bool,
) -> int:
    """See ``HELP``."""
    if not selectors and number is None:
        raise click.UsageError("name hosts, or a run with --run")
    if to is not None and (number is not None or len(selectors) != 1):
        raise click.UsageError("--to is for one host, and without --run")
    setup = opening.open_setup(target)
    way, hosts = _way(setup, to, number, selectors)
    request = DeployRequest(
        selectors=hosts,
        build=BuildSite(BuildOn.HERE),
        verify=not no_verify,
        plan_only=plan_only,
        reboot=reboot,
        skip_preflight=skip_preflight,
        despite_hold=despite_hold,
        back=way,
        title="rollback",
    )
    return run_request(setup, target, request, as_json=as_json, verbose=verbose)


def _way(
    setup: Setup, to: WayBack | None, number: int | None, selectors: tuple[str, ...]
) -> tuple[WayBack, tuple[str, ...]]:
    if number is not None:
        way, hosts, gone = changing_rollback.before_run(setup, number, selectors)
        if gone:
            say(left_out(gone))
        return way, hosts
    if to is not None:
        return to, (opening.one_host(setup.fleet, *selectors).name,)
    return BeforeLast(), selectors
