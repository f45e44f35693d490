"""``pending``: what waits for hosts that were unreachable when they were to be deployed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.group import say
from orchestrator.cli.options import (
    Target,
    duration,
    fleet_option,
    host_argument,
    json_option,
    selectors_argument,
    target_options,
    verbose_option,
)
from orchestrator.core.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.core.event import Event
    from orchestrator.host.setup import Setup
    from orchestrator.render.renderer import Renderer


@click.command("list")
@fleet_option
@json_option
def list_pending(fleet: Path | None, as_json: bool) -> None:
    """What waits for hosts that were unreachable, since when, and until when.

    It is delivered by `orchestrator pending deliver`; with --watch, as soon as they answer.
    """
    from orchestrator.cli.run import results, words
    from orchestrator.offline.catch_up import all_waiting
    from orchestrator.offline.draw import draw_pending

    entries = all_waiting(_state(fleet), _say)
    draw_pending(entries, results(), words(), as_json=as_json)


@click.command()
@host_argument
@fleet_option
def drop(host: str, fleet: Path | None) -> None:
    """Drop what waits for HOST. The host itself is not touched."""
    from orchestrator.offline.catch_up import pending_systems

    waiting = pending_systems(_state(fleet), _say)
    entry = waiting.of(host)
    if entry is None or not waiting.drop(entry):
        raise UsageError(
            f"nothing is pending for {host!r}", hint="what does: orchestrator pending list"
        )
    click.echo(f"{host}: pending {entry.system.out.name} of run {entry.run} dropped", err=True)


@click.command()
@selectors_argument()
@click.option("--watch", is_flag=True, help="Go on until stopped; for a service.")
@click.option(
    "--interval",
    callback=duration,
    metavar="TIME",
    default="1m",
    show_default=True,
    help="With --watch: between two looks; a host that does not answer is polled with back-off.",
)
@target_options
@json_option
@verbose_option
def deliver(
    selectors: tuple[str, ...],
    watch: bool,
    interval: float,
    target: Target,
    as_json: bool,
    verbose: bool,
) -> int:
    """Try each host that something waits for once; those that answer get exactly that system.

    Exit codes as those of deploy: 3 where hosts are unreachable still. With --watch: as soon as
    they answer, a line for each thing that happens, until SIGTERM or Ctrl-C; a host that is being
    changed is brought to a proven state first.
    """
    if not watch:
        return _deliver_once(selectors, target, as_json=as_json, verbose=verbose)
    if selectors:
        raise click.UsageError("--watch delivers to every host that something waits for")
    if interval < 1:
        raise click.UsageError("--interval: expected at least 1s")
    _keep_delivering(interval, target, as_json=as_json)
    return 0


def _deliver_once(
    selectors: tuple[str, ...], target: Target, *, as_json: bool, verbose: bool
) -> int:
    from orchestrator.cli.fleet import open_setup
    from orchestrator.cli.run import renderer, run
    from orchestrator.core.run import exit_code
    from orchestrator.offline import catch_up as engine

    setup = open_setup(target)

    async def work() -> int:
        with renderer(as_json=as_json, verbose=verbose) as drawn:
            entries = engine.waiting(setup, selectors, drawn.handle)
            reports = await engine.catch_up(setup, entries, drawn.handle)
        if not reports:
            say("nothing is pending for these hosts")
        if any(report.interrupted for report in reports):
            return 130
        return exit_code(one.outcome for report in reports for one in report.hosts.values())

    return run(work())


def _keep_delivering(interval: float, target: Target, *, as_json: bool) -> None:
    from orchestrator.cli.fleet import open_fleet, open_setup
    from orchestrator.cli.run import run
    from orchestrator.offline.watch import Watch

    first = open_setup(target)

    def load() -> Setup:
        # The lab's hosts do not move; those of the inventory may.
        return first if first.ssh.config else replace(first, fleet=open_fleet(target))

    with _watch_lines(as_json=as_json) as drawn:
        run(Watch(load, interval, drawn.handle).run())


def _watch_lines(*, as_json: bool) -> Renderer:
    from datetime import datetime

    from orchestrator.cli.run import results, words
    from orchestrator.offline.draw import WatchLines
    from orchestrator.render.event_json import JsonLines
    from orchestrator.render.renderer import Fanout
    from orchestrator.render.runlog import RunLog

    lines: Renderer = JsonLines(results()) if as_json else WatchLines(words())
    return Fanout([RunLog(lambda: datetime.now().astimezone()), lines], words())


def _state(fleet: Path | None) -> Path:
    from orchestrator.cli.fleet import open_fleet
    from orchestrator.host.setup import state_folder

    return state_folder(open_fleet(Target(fleet)))


def _say(event: Event) -> None:
    """Tell a person what is wrong with what waits."""
    from orchestrator.cli.run import words
    from orchestrator.offline.draw import WatchLines

    WatchLines(words()).handle(event)
