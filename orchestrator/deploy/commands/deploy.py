"""``deploy``, ``plan``, ``build``, ``diff``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import (
    GroupedCommand,
    Target,
    despite_hold_option,
    host_argument,
    json_option,
    reboot_option,
    selectors_argument,
    skip_preflight_option,
    target_options,
    verbose_option,
)
from orchestrator.core.errors import UsageError
from orchestrator.core.host import BuildOn, BuildSite, Fleet, Host, WhenUnreachable
from orchestrator.core.plan import Goal
from orchestrator.core.rollout import RolloutPolicy
from orchestrator.core.run import CopyMethod, DeployRequest, Reboot, Report
from orchestrator.core.specialisation import Specialise, SpecialisePolicy
from orchestrator.core.units import MOST_NAMED, listing
from orchestrator.core.values import replace
from orchestrator.deploy.commands.options import rollout_options

with lazily():
    from orchestrator.changes import commands
    from orchestrator.cli import console, opening
    from orchestrator.deploy import diff as deploy_diff
    from orchestrator.deploy import run as deploy_run
    from orchestrator.deploy.delivering import caches
    from orchestrator.host import setup as host_setup


if TYPE_CHECKING:
    from orchestrator.host.setup import Setup

F = TypeVar("F", bound=Callable[..., Any])

_GOALS = click.Choice([goal.value for goal in Goal])
_LAYOUTS = click.Choice(["text", "markdown"])
_METHODS = click.Choice([method.value for method in CopyMethod])


def _run_options(command: F) -> F:
    """The options that every command that makes a run has."""
    options = (
        target_options,
        json_option,
        verbose_option,
        click.option(
            "--build-on",
            metavar="here|target|HOST",
            help="Where systems are built (default: inventory).",
        ),
        click.option(
            "--copy",
            type=_METHODS,
            metavar="METHOD",
            help="connection or stream (default: the faster).",
        ),
    )
    return functools.reduce(lambda decorated, option: option(decorated), options, command)


def _policies(_context: click.Context, _option: click.Parameter, typed: str) -> list[str]:
    """Complete what is no specialisation's name; names are known to the fleet's systems only."""
    words = (policy.value for policy in (Specialise.KEEP, Specialise.NONE))
    return [word for word in words if word.startswith(typed)]


_WHAT = (
    selectors_argument(),
    click.option(
        "--goal",
        type=_GOALS,
        metavar="GOAL",
        default="switch",
        help="build, push, dry-activate, test, boot (else switch).",
    ),
    click.option(
        "--specialisation",
        metavar="NAME",
        shell_complete=_policies,
        help="Or keep, none (default: inventory).",
    ),
    despite_hold_option,
    skip_preflight_option,
    click.option("--no-verify", is_flag=True, help="Skip verification after activation."),
    click.option("--force", is_flag=True, help="Also hosts that are at their target."),
    click.option("--no-cache", is_flag=True, help="Evaluate, whatever is known already."),
    click.option(
        "--unreachable",
        "unreachable",
        type=click.Choice([policy.value for policy in WhenUnreachable]),
        help="If hosts do not answer (default: inventory).",
    ),
    reboot_option,
    rollout_options,
    click.option("--emergency", metavar="REASON", help="One host now, without verification."),
    click.option("--all-must-build", is_flag=True, help="Change no host unless all systems build."),
    click.option("--fast", is_flag=True, help="Build and measure less; see docs/deploying.md."),
    click.option("--this-machine", is_flag=True, help="The machine that you sit on."),
    click.option("--check-caches", is_flag=True, help="Refuse unless every binary cache answers."),
    _run_options,
)


def _request_options(command: F) -> F:
    """What ``deploy`` and ``plan`` are told: the one says what the other does."""
    return functools.reduce(lambda decorated, option: option(decorated), reversed(_WHAT), command)


@click.command(cls=GroupedCommand)
@click.option("--dry-run", is_flag=True, help="The same as `plan`: say what it would do.")
@_request_options
def deploy(dry_run: bool, **options: Any) -> int:
    """Bring hosts to what the fleet says: all of them, or those selected.

    What fails stops its own host only; once activated, it is rolled back. --emergency: preflight
    refuses only what fails anyway, or another machine.
    """
    return _deploy(plan_only=dry_run, **options)


@click.command(cls=GroupedCommand)
@click.option("--build", "plan_builds", is_flag=True, help="Build first, and say what changes.")
@click.option("--format", "layout", type=_LAYOUTS, metavar="FORMAT", help="text or markdown.")
@_request_options
def plan(layout: str | None, **options: Any) -> int:
    """Say what `deploy` with the same options would do to each host, and why. Nothing changes."""
    if layout == "markdown" and options["as_json"]:
        raise click.UsageError("--format markdown and --json: choose one")
    return _deploy(plan_only=True, markdown=layout == "markdown", **options)


def _deploy(
    selectors: tuple[str, ...],
    unreachable: str | None,
    rollout: RolloutPolicy,
    emergency: str | None,
    *,
    plan_only: bool,
    **options: Any,
) -> int:
    if emergency is not None and (not emergency.strip() or emergency.startswith("-")):
        raise click.UsageError(
            f"--emergency: expected a reason, which is recorded on the host, not {emergency!r}"
        )
    if emergency is not None and rollout != RolloutPolicy():
        raise click.UsageError("--emergency is for one host now: it has no waves")
    request = DeployRequest(
        selectors=selectors,
        goal=Goal(options.pop("goal")),
        plan_only=plan_only,
        plan_builds=options.pop("plan_builds", False),
        verify=not options.pop("no_verify") and emergency is None,
        emergency=emergency,
        force=options.pop("force"),
        cache=not options.pop("no_cache"),
        despite_hold=options.pop("despite_hold"),
        reboot=options.pop("reboot"),
        skip_preflight=options.pop("skip_preflight"),
        rollout=rollout,
        all_must_build=options.pop("all_must_build"),
        fast=options.pop("fast"),
    )
    if request.reboot is not Reboot.NEVER and not request.reboots:
        raise click.UsageError(f"--reboot: --goal {request.goal.value} commits nothing to boot")
    request = replace(
        request,
        unreachable=_when_unreachable(unreachable, request.goal),
        specialisation=_specialise(options.pop("specialisation"), request.goal),
    )
    return _run(request, one_host_only=emergency is not None, **options)


def _specialise(text: str | None, goal: Goal) -> SpecialisePolicy | None:
    """Read which specialisation is asked for; as for `nixos-rebuild`, ``''`` is none."""
    if text is None:
        return None
    if not (goal.activates or goal.dry_activates):
        raise click.UsageError(f"--specialisation: --goal {goal.value} activates nothing")
    try:
        return SpecialisePolicy.parse(text or Specialise.NONE.value)
    except ValueError as error:
        raise click.UsageError(f"--specialisation: {error}") from None


def _when_unreachable(policy: str | None, goal: Goal) -> WhenUnreachable | None:
    if policy == WhenUnreachable.DEFER.value and not goal.commits:
        raise click.UsageError(
            f"--unreachable defer: what waits is switched to or booted; "
            f"--goal {goal.value} is for those who watch"
        )
    return None if policy is None else WhenUnreachable(policy)


@click.command()
@selectors_argument()
@click.option("--one-by-one", is_flag=True, help="One host after the other.")
@_run_options
def build(selectors: tuple[str, ...], one_by_one: bool, **options: Any) -> int:
    """Build hosts' systems. No host is contacted, unless it is the one that builds."""
    return _run(DeployRequest(selectors, Goal.BUILD), one_by_one=one_by_one, **options)


def _run(
    request: DeployRequest,
    *,
    target: Target,
    this_machine: bool = False,
    one_host_only: bool = False,
    one_by_one: bool = False,
    build_on: str | None,
    copy: str | None,
    **options: Any,
) -> int:
    """Open the fleet, run the engine once, give the exit code."""
    setup = opening.open_setup(target)
    if this_machine:
        if request.selectors:
            raise click.UsageError("--this-machine names the host; leave the selectors out")
        request = replace(request, selectors=(host_setup.this_machines_host(setup.fleet),))
    if one_host_only:
        if len(request.selectors) != 1:
            raise click.UsageError("--emergency is for one host: name it")
        opening.one_host(setup.fleet, *request.selectors)
    if one_by_one:
        # Nobody's turn is waited for where no host is changed: places are few instead.
        limits = replace(setup.fleet.limits, hosts=1)
        setup = replace(setup, fleet=replace(setup.fleet, limits=limits))
    if build_on is not None:
        request = replace(request, build=_site(setup.fleet, build_on))
    if copy is not None:
        request = replace(request, copy=CopyMethod(copy))
    return run_request(setup, target, request, **options)


def run_request(
    setup: Setup,
    target: Target,
    request: DeployRequest,
    *,
    as_json: bool,
    verbose: bool,
    check_caches: bool = False,
    markdown: bool = False,
) -> int:
    """Run the engine once, draw what happens, and give the exit code."""
    options = {"as_json": as_json, "verbose": verbose}
    more = {"check_caches": check_caches, "markdown": markdown}
    return run_for_report(setup, target, request, **options, **more).exit_code


def run_for_report(
    setup: Setup,
    target: Target,
    request: DeployRequest,
    *,
    as_json: bool,
    verbose: bool,
    check_caches: bool = False,
    report: bool = True,
    markdown: bool = False,
) -> Report:
    """Run the engine once, draw what happens, and give the report.

    Args:
        setup: The fleet.
        target: How it was named.
        request: What to do.
        as_json: JSON lines on standard output.
        verbose: Show log lines too.
        check_caches: Refuse where a binary cache does not answer.
        report: Whether standard output has the report; else it is on standard error.
        markdown: The report as Markdown.
    """

    async def work() -> Report:
        if check_caches:
            await caches.require_caches(setup, request.selectors)
        with console.renderer(
            as_json=as_json, verbose=verbose, report=report, markdown=markdown
        ) as drawn:
            return await deploy_run.deploy(setup, request, drawn.handle)

    ended = console.run(work())
    if ended.evaluated:
        _learn(setup, target)
    return ended


def _learn(setup: Setup, target: Target) -> None:
    """Learn from what was evaluated, where that was not switched off."""
    if commands.learns_afterwards():
        commands.learn_in_background(setup, target)


def _site(fleet: Fleet, text: str) -> BuildSite:
    if text in (BuildOn.HERE.value, BuildOn.TARGET.value):
        return BuildSite(BuildOn(text))
    if text not in fleet.hosts:
        raise UsageError(
            f"--build-on {text!r} is no host of this fleet",
            hint=f"here, target, or one of {listing([*fleet.hosts], MOST_NAMED)}",
        )
    return BuildSite(BuildOn.BUILDER, text)


def build_hosts(setup: Setup, hosts: Sequence[Host], *, verbose: bool, report: bool) -> Report:
    """Build hosts' systems, drawn as any run.

    Args:
        setup: The fleet.
        hosts: The hosts.
        verbose: Show log lines too.
        report: Whether standard output has the report; else it is on standard error.
    """
    request = DeployRequest(tuple(host.name for host in hosts), Goal.BUILD)
    with console.renderer(as_json=False, verbose=verbose, report=report) as drawn:
        return console.run(deploy_run.deploy(setup, request, drawn.handle))


@click.command()
@host_argument
@target_options
@json_option
@verbose_option
def diff(host: str, target: Target, as_json: bool, verbose: bool) -> None:
    """Build what HOST should run, and say what differs from what it runs now."""
    setup = opening.open_setup(target)
    found = console.run(deploy_diff.diff_host(setup, opening.one_host(setup.fleet, host)))
    words = console.words()
    deploy_diff.draw_diff(found, console.results(), words, as_json=as_json, verbose=verbose)
