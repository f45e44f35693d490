"""``changes learn``, ``why`` and ``affected``: what hosts' evaluations depend on."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import (
    Target,
    fleet_options,
    host_argument,
    json_done_option,
    json_option,
    selectors_argument,
)
from orchestrator.core.errors import OrchestratorError

with lazily():
    from orchestrator.changes import draw, knowledge, turns
    from orchestrator.changes import learn as changes_learn
    from orchestrator.cli import console, opening
    from orchestrator.core import process
    from orchestrator.inventory import select


if TYPE_CHECKING:
    from collections.abc import Coroutine

    from orchestrator.host.setup import Setup


@click.command()
@selectors_argument()
@click.option("--again", is_flag=True, help="Learn also what is known already.")
@click.option("--background", is_flag=True, hidden=True)
@fleet_options
@json_done_option
def learn(
    selectors: tuple[str, ...], again: bool, background: bool, target: Target, as_json: bool
) -> int:
    """Find out what hosts' evaluations read, so that a deployment need not evaluate.

    Deployments do this by themselves, afterwards. By hand it is for CI: learn once, and carry the
    fleet's fingerprints.db along. Exit 1 where a host could not be learned.
    """
    if background:
        _stand_back()
    setup = opening.open_setup(target)
    lessons: list[changes_learn.Lesson] = []

    def told(lesson: changes_learn.Lesson) -> None:
        lessons.append(lesson)
        progress = f"[{len(lessons)}/{lesson.of}] " if lesson.of > 1 else ""
        draw.draw_lesson(lesson.host, lesson.fingerprint, lesson.problem, console.words(), progress)

    hosts = select.select(setup.fleet, selectors)
    console.run(_until_told_to_stop(changes_learn.learn(setup, hosts, told, again=again)))
    ok = not any(lesson.problem and not lesson.never for lesson in lessons)
    if as_json:
        found = {it.host: draw.lesson_json(it.fingerprint, it.problem) for it in lessons}
        console.print_done(ok, hosts=found)
    return int(not ok)


@click.command()
@host_argument
@fleet_options
@json_option
def why(host: str, target: Target, as_json: bool) -> int:
    """What a HOST's evaluation reads, and what of it changed."""
    setup = opening.open_setup(target)
    one = opening.one_host(setup.fleet, host)

    async def work() -> None:
        known = await knowledge.KnownSystems(setup, (one,)).of(one)
        draw.draw_why(one.name, known, console.results(), console.words(), as_json=as_json)

    console.run(work())
    return 0


@click.command()
@selectors_argument()
@click.option(
    "--since", metavar="REVISION", help="Compare with a commit (default: last evaluated)."
)
@fleet_options
@json_option
def affected(selectors: tuple[str, ...], since: str | None, target: Target, as_json: bool) -> int:
    """Which hosts the changes of the fleet's files touch, one name a line; for CI.

    A host that nothing is known of is touched: learn it first.
    """
    setup = opening.open_setup(target)
    found = console.run(changes_learn.affected(setup, select.select(setup.fleet, selectors), since))
    draw.draw_affected(found, console.results(), console.words(), as_json=as_json)
    return 0


def learn_in_background(setup: Setup, target: Target) -> None:
    """Begin to learn the whole fleet, and do not wait: it goes on when this process has ended."""
    # What goes on behind a person's back writes nothing into the fleet's folder.
    options = ["--frozen", "--fleet", setup.fleet.root, *(["--no-lab"] if not target.lab else [])]
    process.detach(
        (sys.executable, "-m", "orchestrator", "changes", "learn", "--background", *options)
    )


def _stand_back() -> None:
    """Take what nobody else wants of the processor."""
    os.nice(19)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


async def _until_told_to_stop(work: Coroutine[Any, Any, None]) -> None:
    """End a child that evaluates, too, when a deployment or a signal ends this process."""
    task = asyncio.ensure_future(work)
    told: list[str] = []

    def end(why: str) -> None:
        told.append(why)
        task.cancel()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(turns.STOP, end, "a deployment evaluates, and goes first")
    loop.add_signal_handler(signal.SIGTERM, end, "by SIGTERM")
    try:
        await task
    except asyncio.CancelledError:
        if not told:
            raise
        raise OrchestratorError(f"stopped: {told[0]}; what was learned is kept") from None


def learns_afterwards() -> bool:
    """Whether deployments learn by themselves; ``ORCHESTRATOR_LEARN=never`` says no."""
    return os.environ.get("ORCHESTRATOR_LEARN") != "never"
