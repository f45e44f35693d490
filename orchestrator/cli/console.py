"""The event loop and the streams of a command."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
from collections.abc import Coroutine, Iterator
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
    return asyncio.run(_whole(work))


async def _whole(work: Coroutine[Any, Any, T]) -> T:
    """Run a command, and leave nothing of it to be cancelled by ``asyncio.run``.

    That cancels asyncio's own tasks with ours, at once: a child that is just being started then
    waits for its pipes for ever (seen in 3.11.2). Ours are ended here, and have their children end.
    """
    try:
        return await work
    finally:
        left = [task for task in asyncio.all_tasks() if _is_ours(task)]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)


def _is_ours(task: asyncio.Task[Any]) -> bool:
    if task is asyncio.current_task():
        return False
    code = getattr(task.get_coro(), "cr_code", None)
    return code is None or not code.co_filename.startswith(_ASYNCIO)


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
