"""What a host was from moment to moment: a third system is seen even for one."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

from tests.lab.faults.campaign.outside import Eyes, Look

_EVERY = 0.04
_SHORTLY = 3.0


class Recorder:
    """Writes down each change of a host while a round goes on, and how large the deployer grew.

    Args:
        eyes: The host.
        limit: Bytes beyond which a deployer is killed, for the sake of this machine.

    Attributes:
        seen: What the host was, and since when.
        content: What each system that was seen was built from.
        peak: Bytes that a deployer and all that it started took at most.
    """

    def __init__(self, eyes: Eyes, limit: int) -> None:
        self.seen: list[tuple[float, Look]] = []
        self.content: dict[str, tuple[str | None, ...]] = {}
        self.peak = 0
        self._eyes, self._limit = eyes, limit
        self._deployers: list[int] = []
        self._below: dict[int, set[int]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._record, daemon=True)

    def watch(self, pid: int) -> None:
        """Measure a deployer's memory too, with that of all that it starts."""
        self._deployers.append(pid)

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def around(self, moment: float) -> list[Look]:
        """What the host was up to a moment of ``time.monotonic``, and shortly before it."""
        seen = [(when, look) for when, look in list(self.seen) if when <= moment]
        first = next((n for n, (when, _) in enumerate(seen) if when > moment - _SHORTLY), len(seen))
        return [look for _, look in seen[max(first - 1, 0) :]]

    def _record(self) -> None:
        turns = 0
        while not self._over.wait(_EVERY):
            turns += 1
            look = self._eyes.look()
            if look is not None and (not self.seen or self.seen[-1][1] != look):
                self.seen.append((time.monotonic(), look))
                self._ask_for_content(look)
            if turns % 4 == 0:
                self._measure(anew=turns % 20 == 0)

    def _ask_for_content(self, look: Look) -> None:
        """At once: a system that is left may be collected."""
        for system in look.systems:
            if system is not None and None in self.content.get(system, (None,)):
                self.content[system] = self._eyes.marks_of(system)

    def _measure(self, *, anew: bool) -> None:
        for deployer in self._deployers:
            if anew:
                self._below[deployer] = _below(deployer)
            size = sum(map(_size, self._below.get(deployer, {deployer})))
            self.peak = max(self.peak, size)
            if size > self._limit:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(deployer, 9)


def _size(pid: int) -> int:
    """Resident bytes of a process; see proc_pid_statm(5)."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, IndexError):  # it ended
        return 0


def _below(top: int) -> set[int]:
    """A process and all that it started; see proc_pid_stat(5)."""
    parents: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            parents[int(process.name)] = int(fields[1])
    found, new = {top}, {top}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new} - found
        found |= new
    return found
