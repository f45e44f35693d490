"""``deploy``, ``plan``, ``build``, ``emergency-deploy``, ``ci``, ``diff``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

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
from orchestrator.core.host import Absent, BuildOn, BuildSite, Fleet
from orchestrator.core.plan import Goal
from orchestrator.core.rollout import RolloutPolicy
from orchestrator.core.run import CopyMethod, DeployRequest, Reboot
from orchestrator.deploy.commands.options import (
    RetryFailed,
    only_failed,
    retry_failed_option,
    rollout_options,
)

if TYPE_CHECKING:
    from orchestrator.host.setup import Setup

F = TypeVar("F", bound=Callable[..., Any])

_GOALS = click.Choice([goal.value for goal in Goal])
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
            help="connection, stream, ssh-ng (default: fastest).",
        ),
    )
    return functools.reduce(lambda decorated, option: option(decorated), options, command)


_WHAT = (
    selectors_argument(),
    click.option(
        "--goal",
        type=_GOALS,
        metavar="GOAL",
        default="switch",
        help="build, push, dry-activate, test, switch (default), boot.",
    ),
    despite_hold_option,
    skip_preflight_option,
    click.option("--no-verify", is_flag=True, help="Skip verification after activation."),
    click.option("--force", is_flag=True, help="Also hosts that are at their target."),
    click.option("--no-cache", is_flag=True, help="Evaluate, whatever is known already."),
    click.option(
        "--unreachable",
        "absent",
        type=click.Choice([policy.value for policy in Absent]),
        help="If hosts do not answer (default: inventory).",
    ),
    reboot_option,
    rollout_options,
    retry_failed_option,
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

    A host at its target is unchanged. What fails on one host stops that host only; after a failed
    activation or verification it runs what it ran.
    """
    return _deploy(plan_only=dry_run, **options)


@click.command(cls=GroupedCommand)
@_request_options
def plan(**options: Any) -> int:
    """Say what `deploy` with the same options would do to each host, and why. Nothing changes."""
    return _deploy(plan_only=True, **options)


def _deploy(
    selectors: tuple[str, ...],
    absent: str | None,
    rollout: RolloutPolicy,
    *,
    plan_only: bool,
    **options: Any,
) -> int:
    request = DeployRequest(
        selectors=selectors,
        goal=Goal(options.pop("goal")),
        plan_only=plan_only,
        verify=not options.pop("no_verify"),
        force=options.pop("force"),
        cache=not options.pop("no_cache"),
        despite_hold=options.pop("despite_hold"),
        reboot=options.pop("reboot"),
        skip_preflight=options.pop("skip_preflight"),
        rollout=rollout,
    )
    if request.reboot is not Reboot.NEVER and not request.reboots:
        raise click.UsageError(f"--reboot: --goal {request.goal.value} commits nothing to boot")
    return _run(replace(request, absent=_absent(absent, request.goal)), **options)


def _absent(policy: str | None, goal: Goal) -> Absent | None:
    if policy == Absent.DEFER.value and not goal.commits:
        raise click.UsageError(
            f"--unreachable defer: what waits is switched to or booted; "
            f"--goal {goal.value} is for those who watch"
        )
    return None if policy is None else Absent(policy)


@click.command()
@selectors_argument()
@click.option("--one-by-one", is_flag=True, help="One host after the other.")
@_run_options
def build(selectors: tuple[str, ...], one_by_one: bool, **options: Any) -> int:
    """Build hosts' systems. No host is contacted, unless it is the one that builds."""
    return _run(DeployRequest(selectors, Goal.BUILD), one_by_one=one_by_one, **options)


@click.command("emergency-deploy")
@host_argument
@click.option(
    "--reason",
    default="no reason given",
    show_default=True,
    help="Why; it is recorded on the host.",
)
@despite_hold_option
@skip_preflight_option
@_run_options
def emergency_deploy(host: str, reason: str, **options: Any) -> int:
    """Deploy one HOST now, without verification.

    Host keys stay strict, the end state is proved, and what fails is taken back. Preflight refuses
    only what would fail anyway, or a machine that is another one.
    """
    request = DeployRequest(
        (host,),
        verify=False,
        emergency=reason,
        despite_hold=options.pop("despite_hold"),
        skip_preflight=options.pop("skip_preflight"),
    )
    return _run(request, one_host_only=True, **options)


@click.command()
@_run_options
def ci(target: Target, **options: Any) -> int:
    """The whole pipeline: a fresh fleet.json, syntax, every system builds, secrets are proved."""
    import asyncio

    from orchestrator.cli.fleet import open_setup
    from orchestrator.cli.run import words
    from orchestrator.fleet.draw import draw_mistakes
    from orchestrator.fleet.files import check_files
    from orchestrator.secrets.commands.check import check_fleet

    target = replace(target, frozen=True)
    setup = open_setup(target)
    wrong = draw_mistakes("syntax", asyncio.run(check_files(setup)), words()) > 0
    code = _run_in(setup, target, DeployRequest(goal=Goal.BUILD), **options)
    unsafe = asyncio.run(check_fleet(setup, configurations=code == 0))
    return code or int(wrong or unsafe)


def _run(
    request: DeployRequest,
    *,
    target: Target,
    this_machine: bool = False,
    one_host_only: bool = False,
    one_by_one: bool = False,
    retry_failed: RetryFailed | None = None,
    **options: Any,
) -> int:
    """Open the fleet, run the engine once, give the exit code."""
    from orchestrator.cli.fleet import one_host, open_setup
    from orchestrator.host.setup import this_machines_host

    setup = open_setup(target)
    if one_host_only:
        one_host(setup.fleet, *request.selectors)
    if this_machine:
        if request.selectors:
            raise click.UsageError("--this-machine names the host; leave the selectors out")
        request = replace(request, selectors=(this_machines_host(setup.fleet),))
    if one_by_one:
        # Nobody's turn is waited for where no host is changed: places are few instead.
        limits = replace(setup.fleet.limits, hosts=1)
        setup = replace(setup, fleet=replace(setup.fleet, limits=limits))
    if retry_failed is not None:
        request = only_failed(setup, request, retry_failed)
        if not request.selectors:
            return 0
    return _run_in(setup, target, request, **options)


def _run_in(
    setup: Setup,
    target: Target,
    request: DeployRequest,
    *,
    as_json: bool,
    verbose: bool,
    build_on: str | None,
    copy: str | None,
    check_caches: bool = False,
) -> int:
    if build_on is not None:
        request = replace(request, build=_site(setup.fleet, build_on))
    if copy is not None:
        request = replace(request, copy=CopyMethod(copy))
    return run_request(
        setup, target, request, as_json=as_json, verbose=verbose, check_caches=check_caches
    )


def run_request(
    setup: Setup,
    target: Target,
    request: DeployRequest,
    *,
    as_json: bool,
    verbose: bool,
    check_caches: bool = False,
) -> int:
    """Run the engine once, draw what happens, and give the exit code."""
    from orchestrator.cli.run import renderer, run
    from orchestrator.deploy.run import deploy

    async def work() -> int:
        if check_caches:
            from orchestrator.deploy.delivering.caches import require_caches

            await require_caches(setup, request.selectors)
        with renderer(as_json=as_json, verbose=verbose) as drawn:
            report = await deploy(setup, request, drawn.handle)
        if report.evaluated:
            _learn(setup, target)
        return report.exit_code

    return run(work())


def _learn(setup: Setup, target: Target) -> None:
    """Learn from what was evaluated, where that was not switched off."""
    from orchestrator.changes.commands import learn_in_background, learns_afterwards

    if learns_afterwards():
        learn_in_background(setup, target)


def _site(fleet: Fleet, text: str) -> BuildSite:
    if text in (BuildOn.HERE.value, BuildOn.TARGET.value):
        return BuildSite(BuildOn(text))
    if text not in fleet.hosts:
        raise UsageError(
            f"--build-on {text!r} is no host of this fleet",
            hint=f"here, target, or one of {', '.join(fleet.hosts)}",
        )
    return BuildSite(BuildOn.BUILDER, text)


@click.command()
@host_argument
@target_options
@json_option
def diff(host: str, target: Target, as_json: bool) -> None:
    """Packages that a deployment would add, remove or change, against what HOST runs now."""
    import asyncio

    from orchestrator.cli.fleet import one_host, open_setup
    from orchestrator.cli.run import results, words
    from orchestrator.deploy.diff import diff_host
    from orchestrator.deploy.draw_diff import draw_diff

    setup = open_setup(target)
    found = asyncio.run(diff_host(setup, one_host(setup.fleet, host)))
    draw_diff(found, results(), words(), as_json=as_json)
