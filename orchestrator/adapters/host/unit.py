"""Work on a host in a systemd unit of its own: the connection may come and go."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.adapters.executor import Executor
from orchestrator.adapters.host import scripts
from orchestrator.adapters.process import how_it_ended
from orchestrator.errors import StepError, UnreachableError
from orchestrator.model.store import OutPath

_ENDED = re.compile(rf"^{scripts.ENDED} (\d+|killed|unknown)\n".encode(), re.MULTILINE)


@dataclass(frozen=True, slots=True)
class UnitResult:
    """How a unit's work ended.

    Attributes:
        rc: Its exit code; ``None`` where it was killed, or never began.
        log: What it said.
        began: Whether it began at all; where it did not, it never will.
    """

    rc: int | None
    log: str
    began: bool = True

    @property
    def ending(self) -> str:
        """How it ended, in a few words."""
        if not self.began:
            return "it never began, or the host has booted since"
        return "it was killed" if self.rc is None else f"exit {self.rc}"


@dataclass(frozen=True, slots=True)
class Work:
    """What a unit does.

    Attributes:
        unit: The unit's name without ``.service``; names the run, so that it is never met twice.
        action: A word for its description.
        script: One of :mod:`orchestrator.adapters.host.scripts`.
        arguments: The script's arguments.
        toplevel: Kept from garbage collection until the work is forgotten.
    """

    unit: str
    action: str
    script: str
    arguments: tuple[str, ...]
    toplevel: OutPath


async def start(executor: Executor, work: Work, deadline: float) -> None:
    """Start work on the host.

    Raises:
        StepError: The unit was not started.
    """
    argv = scripts.script(
        scripts.START, work.unit, work.action, work.toplevel.path, *work.arguments
    )
    done = await executor.run(argv, deadline=deadline, stdin=work.script.encode())
    if done.rc != 0:
        raise StepError(
            f"the unit {work.unit} could not be started (exit {done.rc})",
            command=executor.repeat(("systemctl", "status", work.unit)),
            stderr=done.err,
        )


async def wait(executor: Executor, unit: str, deadline: float) -> UnitResult:
    """Wait for a unit's work to end. May be asked again on another connection.

    Raises:
        UnreachableError: The connection was lost, or the waiting was ended; the unit goes on.
        StepError: The deadline passed; the unit goes on.
    """
    done = await executor.run(scripts.script(scripts.WAIT, unit), deadline=deadline)
    if done.rc != 0 or (found := _ENDED.search(done.stdout)) is None:
        # Whoever waited was ended, not the unit: nothing is known of that.
        raise UnreachableError(
            f"the host did not say how {unit} ended ({how_it_ended(done.rc)})",
            command=executor.repeat(("systemctl", "status", unit)),
            stderr=done.err,
        )
    code, log = found[1].decode(), done.stdout[found.end() :].decode(errors="replace")
    return UnitResult(int(code) if code.isdecimal() else None, log, began=code != "unknown")


async def stop(executor: Executor, unit: str, deadline: float) -> None:
    """End a unit's work where it is.

    Raises:
        StepError: It goes on.
    """
    done = await executor.run(scripts.script(scripts.STOP, unit), deadline=deadline)
    if done.rc != 0:
        raise StepError(
            f"the unit {unit} could not be stopped ({how_it_ended(done.rc)})",
            command=executor.repeat(("systemctl", "stop", unit)),
            stderr=done.err,
        )


async def forget(executor: Executor, unit: str, deadline: float) -> None:
    """Remove what a unit's work left: its log and its garbage collector's root."""
    await executor.run(scripts.script(scripts.FORGET, unit), deadline=deadline)
