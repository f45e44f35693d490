"""``lock``, ``hold`` and ``release``: who is at a host, and who keeps everybody from it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import (
    Target,
    host_argument,
    json_option,
    selectors_argument,
    target_options,
)
from orchestrator.core.errors import StepError, UsageError

if TYPE_CHECKING:
    from orchestrator.core.host import Host
    from orchestrator.core.state import HostState
    from orchestrator.host.setup import Setup


@click.group()
def lock() -> None:
    """Who is at work on which host.

    A deployment locks a host while it changes it, and releases it at its end; the lock of a
    deployer that is gone ends by itself, within two minutes. To keep everybody from a host for
    longer, hold it: orchestrator hold.
    """


@lock.command()
@selectors_argument()
@target_options
@json_option
def show(selectors: tuple[str, ...], target: Target, as_json: bool) -> int:
    """Each host's lock and hold: whose, since when, why. Exit 1 where one does not answer."""
    from orchestrator.cli.output import results, words
    from orchestrator.host.commands.status import ask
    from orchestrator.host.draw.lock import draw_locks

    answers = ask(selectors, target)
    draw_locks(answers, results(), words(), as_json=as_json)
    return int(any(answer.error is not None for answer in answers))


@lock.command()
@host_argument
@click.option("--reason", default="no reason given", help="Why; the one that loses it is told.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@target_options
def steal(host: str, reason: str, yes: bool, target: Target) -> int:
    """Take HOST's lock from the deployment that has it.

    That deployment is told who took it, and stops before it changes the host. One that has begun
    to change it goes on: its guard on the host brings it to an end, or back. Afterwards the host
    is free, for that person too: to keep everybody from it, hold it.
    """
    from orchestrator.cli.fleet import one_host, open_setup
    from orchestrator.cli.loop import run
    from orchestrator.cli.output import words
    from orchestrator.host import holds
    from orchestrator.host.draw.lock import draw_lock, draw_stolen
    from orchestrator.render.errors import draw_step_error

    setup = open_setup(target)
    found = one_host(setup.fleet, host)
    try:
        state = _ask(setup, found)
        draw_lock(found.name, state, words())
        if state.lock is not None and state.lock.is_live:
            _agree(found.name, yes=yes)
            done = run(holds.steal(setup, found, state.lock, reason))
            draw_stolen(found.name, state.lock, words(), done=done)
    except StepError as error:
        draw_step_error(found.name, error, words())
        return error.exit_code
    return 0


def _ask(setup: Setup, host: Host) -> HostState:
    from orchestrator.cli.loop import run
    from orchestrator.host.status import ask_all

    (answer,) = run(ask_all(setup, (host,)))
    if answer.state is None:
        assert answer.error is not None
        raise answer.error
    return answer.state


def _agree(name: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "a person must agree to it, and there is no terminal",
            hint=f"orchestrator lock steal {name} --yes",
        )
    click.confirm("Take it away?", abort=True, err=True)


@click.command()
@selectors_argument(required=True)
@click.option("--reason", required=True, help="Why; whoever is refused is told.")
@target_options
@json_option
def hold(selectors: tuple[str, ...], reason: str, target: Target, as_json: bool) -> int:
    """Keep everybody from deploying hosts until the hold is lifted.

    It outlives reboots, and counts for emergency-deploy as well. Who must deploy all the same
    names the hold: --despite-hold ID. Exit 4 where a host is held already, 1 where one does not
    answer. For example: orchestrator hold p620 --reason "disk swap"
    """
    from orchestrator.cli.fleet import open_setup
    from orchestrator.cli.loop import run
    from orchestrator.cli.output import results, words
    from orchestrator.host import holds
    from orchestrator.host.draw.lock import draw_placed
    from orchestrator.inventory.select import select

    if not reason.strip():
        raise click.UsageError("--reason: say why; whoever is refused will ask")
    setup = open_setup(target)
    answers = run(holds.hold(setup, select(setup.fleet, selectors), reason.strip()))
    draw_placed(answers, results(), words(), as_json=as_json)
    if any(answer.error is not None for answer in answers):
        return 1
    return 0 if all(answer.done for answer in answers) else 4


@click.command()
@selectors_argument(required=True)
@target_options
@json_option
def release(selectors: tuple[str, ...], target: Target, as_json: bool) -> int:
    """Lift the holds of hosts, whoever placed them. Exit 1 where one does not answer.

    A lock is not lifted by this: see orchestrator lock steal.
    """
    from orchestrator.cli.fleet import open_setup
    from orchestrator.cli.loop import run
    from orchestrator.cli.output import results, words
    from orchestrator.host import holds
    from orchestrator.host.draw.lock import draw_lifted
    from orchestrator.inventory.select import select

    setup = open_setup(target)
    answers = run(holds.lift(setup, select(setup.fleet, selectors)))
    draw_lifted(answers, results(), words(), as_json=as_json)
    return int(any(answer.error is not None for answer in answers))
