"""``run show``, ``pause``, ``resume``, ``abort``, ``retry``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.group import say
from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import (
    Target,
    fleet_option,
    json_done_option,
    json_option,
    target_options,
    verbose_option,
)
from orchestrator.core.rollout import Word

with lazily():
    from orchestrator.cli import console, opening
    from orchestrator.deploy.commands import deploy
    from orchestrator.host import setup as host_setup
    from orchestrator.rollout import draw, order
    from orchestrator.runs import store


if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.core.run import DeployRequest
    from orchestrator.host.setup import Setup

_RUN = click.argument("run", type=click.IntRange(1), metavar="RUN")


@click.command()
@click.argument("run", type=click.IntRange(1), metavar="[RUN]", required=False)
@fleet_option
@json_option
def show(run: int | None, fleet: Path | None, as_json: bool) -> None:
    """Where RUN is, or how it ended; the newest rollout, where none is named."""
    runs = _runs(fleet)
    found = runs.run(order.newest(runs) if run is None else run)
    alive = found.is_alive
    record = found.record()
    results, words = console.results(), console.words()
    draw.draw_run(found.number, record, results, words, alive=alive, as_json=as_json)


@click.command()
@_RUN
@fleet_option
@json_done_option
def pause(run: int, fleet: Path | None, as_json: bool) -> None:
    """Let no further host of RUN begin; those that began come to their ends."""
    then = f"paused; to go on: orchestrator run resume {run}"
    _order(run, fleet, Word.PAUSE, then, as_json=as_json)


@click.command()
@_RUN
@fleet_option
@json_done_option
def abort(run: int, fleet: Path | None, as_json: bool) -> None:
    """End RUN: hosts that began come to a proven end, all others are skipped."""
    then = "aborted: hosts that began come to a proven end, no other begins"
    _order(run, fleet, Word.ABORT, then, as_json=as_json)


def _order(run: int, fleet: Path | None, word: Word, then: str, *, as_json: bool) -> None:
    order.order(_runs(fleet).run(run), word, host_setup.whoami())
    say(f"run {run} {then}")
    if as_json:
        console.print_done(run=run, order=word.value)


def _runs(fleet: Path | None) -> store.Runs:
    return store.Runs(host_setup.state_folder(opening.open_fleet(Target(fleet))))


@click.command()
@_RUN
@target_options
@json_option
@verbose_option
def resume(run: int, target: Target, as_json: bool, verbose: bool) -> int:
    """Go on with RUN: after a pause, or where it was cut off or stopped.

    A run that is paused goes on in its own terminal, also after a pause between two waves. One
    that was cut off goes on here: the same hosts, goal, options and waves. Hosts are asked first:
    those that are at their target are unchanged.
    """
    if _runs(target.fleet).run(run).is_alive:
        with console.errors_as_json(as_json):
            _order(run, target.fleet, Word.RESUME, "resumed", as_json=as_json)
        return 0
    setup = opening.open_setup(target)
    return _run_again(setup, target, *order.again(setup, run), as_json=as_json, verbose=verbose)


@click.command()
@click.argument("run", type=click.IntRange(1), metavar="[RUN]", required=False)
@target_options
@json_option
@verbose_option
def retry(run: int | None, target: Target, as_json: bool, verbose: bool) -> int:
    """Deploy the hosts that failed, were rolled back or skipped in RUN, or the last deployment.

    As that run did: the same goal, options and waves.
    """
    setup = opening.open_setup(target)
    request, notices = order.failed_again(setup, run)
    return _run_again(setup, target, request, notices, as_json=as_json, verbose=verbose)


def _run_again(
    setup: Setup,
    target: Target,
    request: DeployRequest | None,
    notices: Sequence[str],
    *,
    as_json: bool,
    verbose: bool,
) -> int:
    for notice in notices:
        say(notice)
    if request is None:
        return 0
    return deploy.run_request(setup, target, request, as_json=as_json, verbose=verbose)
