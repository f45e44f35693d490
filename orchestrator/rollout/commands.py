"""``rollout`` and ``resume``: a run in another terminal, and one that was cut off."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import (
    Target,
    fleet_option,
    json_option,
    target_options,
    verbose_option,
)
from orchestrator.core.rollout import Word

if TYPE_CHECKING:
    from orchestrator.rollout.order import Runs

_RUN = click.argument("run", type=click.IntRange(1), metavar="RUN")


HELP = """Pause, resume or abort a run that goes on in another terminal; see where it is.

\b
  orchestrator rollout show          the newest run: each wave, each host
  orchestrator rollout pause 12      no further host begins
  orchestrator rollout resume 12     go on; between two waves: at once
  orchestrator rollout abort 12      hosts that began come to their ends, no other begins

To go on with a run that was cut off: orchestrator resume.
"""


@click.group(help=HELP)
def rollout() -> None:
    """See ``HELP``."""


@rollout.command()
@click.argument("run", type=click.IntRange(1), metavar="[RUN]", required=False)
@fleet_option
@json_option
def show(run: int | None, fleet: Path | None, as_json: bool) -> None:
    """Where RUN is, or was when it ended; the newest run, where none is named."""
    from orchestrator.cli.run import results, words
    from orchestrator.rollout.draw import draw_rollout

    runs = _runs(fleet)
    status, alive = runs.status(runs.newest() if run is None else run)
    draw_rollout(status, results(), words(), alive=alive, as_json=as_json)


@rollout.command()
@_RUN
@fleet_option
def pause(run: int, fleet: Path | None) -> None:
    """Let no further host of RUN begin; those that began come to their ends."""
    _order(run, fleet, Word.PAUSE, f"paused; to go on: orchestrator rollout resume {run}")


@rollout.command()
@_RUN
@fleet_option
def resume(run: int, fleet: Path | None) -> None:
    """Go on with RUN after a pause; a pause between two waves ends at once."""
    _order(run, fleet, Word.RESUME, "resumed")


@rollout.command()
@_RUN
@fleet_option
def abort(run: int, fleet: Path | None) -> None:
    """End RUN: hosts that began come to a proven end, all others are skipped."""
    _order(
        run, fleet, Word.ABORT, "aborted: hosts that began come to a proven end, no other begins"
    )


def _order(run: int, fleet: Path | None, word: Word, then: str) -> None:
    who = f"{getpass.getuser()}@{socket.gethostname()}"
    _runs(fleet).order(run, word, who)
    click.echo(f"run {run} {then}", err=True)


def _runs(fleet: Path | None) -> Runs:
    from orchestrator.cli.fleet import open_fleet
    from orchestrator.host.setup import state_folder
    from orchestrator.rollout.order import Runs

    return Runs(state_folder(open_fleet(Target(fleet))))


@click.command("resume")
@_RUN
@target_options
@json_option
@verbose_option
def resume_run(run: int, target: Target, as_json: bool, verbose: bool) -> int:
    """Go on with RUN, which was cut off or stopped: the same hosts, goal, options and waves.

    Hosts are asked first: those that it brought to their target are left alone. To pause a run
    that goes on, and to go on with that: orchestrator rollout.
    """
    from orchestrator.cli.fleet import open_setup
    from orchestrator.deploy.commands.deploy import run_request
    from orchestrator.rollout.order import again

    setup = open_setup(target)
    request, notices = again(setup, run)
    for notice in notices:
        click.echo(notice, err=True)
    return run_request(setup, target, request, as_json=as_json, verbose=verbose)
