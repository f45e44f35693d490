"""Who learns a fleet: one process, and a deployment goes first."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from orchestrator.core.errors import OrchestratorError

_FILE = "learn.lock"
STOP = signal.SIGUSR1
"""What a deployment sends to a learner, so that this is told from what others may send."""


class BusyError(OrchestratorError):
    """Somebody is learning this fleet already."""


@contextlib.contextmanager
def learning(state: Path) -> Iterator[None]:
    """Hold the fleet's lock on learning; it names this process.

    Raises:
        BusyError: Another process holds it.
    """
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state / _FILE).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BusyError("another process is learning this fleet") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def stop_learning(state: Path) -> None:
    """End whoever learns this fleet: a deployment goes first. What it has learned is kept."""
    try:
        with (state / _FILE).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                # Held: so the process that it names is the one that wrote it.
                pid = file.read()
                if pid.isdecimal():
                    os.kill(int(pid), STOP)
    except (OSError, ValueError):
        return  # nobody ever learned here, or just now came to the end
