"""``pending``: what waits for hosts that were unreachable when they were to be deployed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.group import say
from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import (
    Target,
    duration,
    fleet_option,
    host_argument,
    json_done_option,
    json_option,
    selectors_argument,
    target_options,
    verbose_option,
)
from orchestrator.core.errors import UsageError
from orchestrator.core.event import Event, Notice
from orchestrator.core.values import replace

with lazily():
    from orchestrator.cli import console, opening
    from orchestrator.core import run
    from orchestrator.host import setup as host_setup
    from orchestrator.offline import draw
    from orchestrator.offline import watch as offline_watch
    from orchestrator.render import event_json, plain


if TYPE_CHECKING:
    from orchestrator.host.setup import Setup
    from orchestrator.render.plain import Renderer


@click.command("list")
@fleet_option
@json_option
def list_pending(fleet: Path | None, as_json: bool) -> None:
    """What waits for hosts that were unreachable, since when, and until when.

    It is delivered by `orchestrator pending deliver`; with --watch, as soon as they answer.
    """
    entries = offline_watch.all_waiting(_state(fleet), _say)
    draw.draw_pending(entries, console.results(), console.words(), as_json=as_json)


@click.command()
@host_argument
@fleet_option
@json_done_option
def drop(host: str, fleet: Path | None, as_json: bool) -> None:
    """Drop what waits for HOST. The host itself is not touched."""
    waiting = offline_watch.pending_systems(_state(fleet), _say)
    entry = waiting.of(host)
    if entry is None or not waiting.drop(entry):
        raise UsageError(
            f"nothing is pending for {host!r}", hint="what does: orchestrator pending list"
        )
    click.echo(f"{host}: pending {entry.system.out.name} of run {entry.run} dropped", err=True)
    if as_json:
        console.print_done(host=host, dropped=draw.pending_json(entry))


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
    setup = opening.open_setup(target)

    async def work() -> int:
        with console.renderer(as_json=as_json, verbose=verbose) as drawn:
            unreadable: list[Event] = []

            def heard(event: Event) -> None:
                if isinstance(event, Notice) and event.warning and event.host is None:
                    unreadable.append(event)
                drawn.handle(event)

            entries = offline_watch.waiting(setup, selectors, heard)
            reports = await offline_watch.catch_up(setup, entries, drawn.handle)
        if not reports and not unreadable:
            say("nothing is pending for these hosts")
        if any(report.interrupted for report in reports):
            return 130
        ended = [one.outcome for report in reports for one in report.hosts.values()]
        return run.exit_code(ended) or int(bool(unreadable))

    return console.run(work())


def _keep_delivering(interval: float, target: Target, *, as_json: bool) -> None:
    first = opening.open_setup(target)

    def load() -> Setup:
        # The lab's hosts do not move; those of the inventory may.
        return first if first.ssh.config else replace(first, fleet=opening.open_fleet(target))

    with _watch_lines(as_json=as_json) as drawn:
        console.run(offline_watch.Watch(load, interval, drawn.handle).run())


def _watch_lines(*, as_json: bool) -> Renderer:
    lines: Renderer = (
        event_json.JsonLines(console.results()) if as_json else draw.WatchLines(console.words())
    )
    return plain.Fanout([lines], console.words())


def _state(fleet: Path | None) -> Path:
    return host_setup.state_folder(opening.open_fleet(Target(fleet)))


def _say(event: Event) -> None:
    """Tell a person what is wrong with what waits."""
    draw.WatchLines(console.words()).handle(event)
