"""The event loop and the streams of a command."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from orchestrator.cli.group import is_quiet
from orchestrator.core import machine, stored
from orchestrator.core.errors import OrchestratorError
from orchestrator.render.output import Output, silence
from orchestrator.render.plain import Renderer
from orchestrator.render.report import choose, error_json, print_json

T = TypeVar("T")

_ASYNCIO = asyncio.__file__.removesuffix("__init__.py")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, for as many hosts at the same time as the system allows."""
    # Modules and the fleet stay to the end: no search for garbage need look at them again.
    gc.freeze()
    gc.enable()
    machine.allow_files()
    with asyncio.Runner() as runner:
        try:
            return runner.run(_whole(work))
        except (KeyboardInterrupt, asyncio.CancelledError):
            if left := _left(asyncio.all_tasks(runner.get_loop()), _ASYNCIO):
                # It came twice. Once more ends the process at once.
                before = signal.signal(signal.SIGINT, signal.SIG_DFL)
                runner.run(_ended(left))
                signal.signal(signal.SIGINT, before)
            raise KeyboardInterrupt from None


async def _whole(work: Coroutine[Any, Any, T]) -> T:
    """Run a command; Ctrl-C cancels it, however often it comes.

    asyncio's runner would raise in the midst of the loop at the second one, and what was to be
    woken there is never woken.
    """
    whole = asyncio.current_task()
    assert whole is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, whole.cancel)
    try:
        return await work
    finally:
        await _ended(_left(asyncio.all_tasks(), _ASYNCIO, __file__))


async def _ended(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """End what is left of a command, so that nothing of it is to be cancelled by asyncio's runner.

    That cancels asyncio's own tasks with ours, at once: a child that is just being started then
    waits for its pipes for ever (seen in 3.11.7). Ours are ended here, and have their children end.
    """
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _left(tasks: Iterable[asyncio.Task[Any]], *but: str) -> list[asyncio.Task[Any]]:
    """Those tasks whose code is in none of some places."""
    code = {task: getattr(task.get_coro(), "cr_code", None) for task in tasks}
    return [task for task, its in code.items() if not (its and its.co_filename.startswith(but))]


def renderer(
    *, as_json: bool, verbose: bool, report: bool = True, markdown: bool = False
) -> Renderer:
    """Choose how a run is drawn: a terminal, plain lines, JSON lines.

    Args:
        as_json: JSON lines on standard output.
        verbose: Show log lines too.
        report: Whether standard output is ours: what goes there is on standard error else.
        markdown: The report as Markdown on standard output.
    """
    return choose(
        json=as_json,
        stdout=sys.stdout if report else sys.stderr,
        stderr=sys.stderr,
        env=os.environ,
        verbose=verbose,
        quiet=is_quiet(),
        markdown=markdown,
    )


def results() -> Output:
    """Standard output, for results."""
    return Output.of(sys.stdout, os.environ)


def words() -> Output:
    """Standard error, for people."""
    return Output.of(sys.stderr, os.environ)


def print_done(ok: bool = True, /, **found: object) -> None:
    """Print what a command did, for a script: one object, whose ``ok`` is that of the exit code."""
    print_json(results(), stored.plain({"ok": ok, **found}))


@contextlib.contextmanager
def errors_as_json(as_json: bool) -> Iterator[None]:
    """Print the error that ends the body for a script, too; it is raised all the same."""
    try:
        yield
    except OrchestratorError as error:
        if as_json:
            try:
                print_done(False, error=error_json(error))
            except OSError:  # the error itself counts, and is on standard error
                silence(sys.stdout)
        raise
