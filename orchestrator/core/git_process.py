"""Run git in the fleet's folder: the only user of GitPython.

GitPython starts git itself, so what :mod:`orchestrator.core.process` promises of each process is
kept here for it: no terminal, no other repository than the folder's, a deadline, a bound on what it
prints, and an end with its whole group. It is imported when git is first asked, for that takes a
tenth of a second and a question to git.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import shlex
import signal
import subprocess
import threading
import time

from msgspec import Struct, field

from orchestrator.core import process
from orchestrator.core.bounds import OUTPUT, TAIL, Intake, TooMuchError
from orchestrator.core.errors import StepError
from orchestrator.core.process import CommandResult

_SECONDS = 60.0
LOOK = ("--no-optional-locks", "-c", "core.fsmonitor=false")
"""For what only looks: the index stays as it is, and no other program says what changed."""


class _Child(Struct):
    """The git of one call, which may be told to stop before it was started, too."""

    process: subprocess.Popen[bytes] | None = None
    stopped: threading.Event = field(default_factory=threading.Event)

    def signal(self, number: signal.Signals) -> None:
        """Signal it and its hooks; git removes its lock files when it is told to end."""
        self.stopped.set()
        if self.process is not None and self.process.returncode is None:
            process.signal_group(self.process.pid, number)


async def run_git(folder: str, *words: str) -> CommandResult:
    """Run git to its end, in a thread; who cancels this ends it first.

    Raises:
        StepError: There is no git, it did not end in time, or it printed too much.
    """
    for name in process.ELSEWHERE:
        os.environ.pop(name, None)  # GitPython hands on all that this process has
    child = _Child()
    running = asyncio.ensure_future(asyncio.to_thread(_run, child, folder, words))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        for number in (signal.SIGTERM, signal.SIGKILL):
            child.signal(number)
            await asyncio.wait((running,), timeout=process.GRACE)
        if running.done() and not running.cancelled():
            running.exception()
        raise


def _run(child: _Child, folder: str, words: tuple[str, ...]) -> CommandResult:
    by_hand = shlex.join(("git", "-C", folder, *words))
    verb = words[len(LOOK)] if words[: len(LOOK)] == LOOK else words[0]
    git = child.process = _start(folder, words)
    try:
        if child.stopped.is_set():
            raise StepError(f"git {verb} was stopped")
        return _talk(git)
    except BaseException as error:
        _end(git)
        if isinstance(error, TimeoutError):
            message = f"git {verb} did not end within {_SECONDS:.0f} s and was stopped"
            raise StepError(message, command=by_hand) from None
        if isinstance(error, TooMuchError):
            message = f"git {verb} printed {error} and was stopped"
            raise StepError(message, command=by_hand) from None
        raise
    finally:
        for pipe in (git.stdout, git.stderr):
            if pipe is not None:
                pipe.close()


def _start(folder: str, words: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """Have GitPython start git, in a session of its own.

    Raises:
        StepError: There is no git, or the folder is not to be entered.
    """
    try:
        from git import Git
        from git.exc import GitCommandNotFound
    except ImportError as error:  # of git itself: it looks for it when it is imported
        raise _no_git(error) from None
    # As this process has them, so that hooks speak as ever. An empty one counts as none.
    language = {name: os.environ.get(name, "") for name in ("LANGUAGE", "LC_ALL")}
    try:
        started = Git().execute(
            ["git", "-C", folder, *words],
            as_process=True,
            env={**language, "GIT_TERMINAL_PROMPT": "0"},
            shell=False,
            start_new_session=True,
        )
    except (GitCommandNotFound, OSError) as error:
        raise _no_git(error) from None
    # What GitPython gives ends git as soon as nobody looks at it any more.
    found, started.proc = started.proc, None
    assert found is not None
    return found


def _no_git(error: Exception) -> StepError:
    why = f": {error.strerror}" if isinstance(error, OSError) else ""
    return StepError(f"git could not be started{why}", hint="is it on the PATH? git --version")


def _talk(child: subprocess.Popen[bytes]) -> CommandResult:
    """Read what git prints until it ends.

    Raises:
        TimeoutError: It did not end in time.
        TooMuchError: It printed more than is taken.
    """
    assert child.stdout is not None
    assert child.stderr is not None
    out, err = Intake(OUTPUT), Intake(OUTPUT, TAIL)
    until = time.monotonic() + _SECONDS
    with selectors.DefaultSelector() as pipes:
        pipes.register(child.stdout, selectors.EVENT_READ, out)
        pipes.register(child.stderr, selectors.EVENT_READ, err)
        while pipes.get_map():
            ready = pipes.select(until - time.monotonic())
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                if piece := os.read(key.fd, 1 << 16):
                    key.data.take(piece)
                else:
                    pipes.unregister(key.fileobj)
    try:
        return CommandResult(child.wait(process.GRACE), out.taken, err.taken)
    except subprocess.TimeoutExpired:
        raise TimeoutError from None


def _end(git: subprocess.Popen[bytes]) -> None:
    """Leave nothing behind: neither git nor what a hook of it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        process.signal_group(git.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            git.wait(process.GRACE)
