"""A deployment that is under way: what it says while it goes, and how it ends."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from orchestrator.core.values import replace
from tests.lab.faults.ground import HOST, Ground, until
from tests.lab.fleet_bench import ORCHESTRATOR, Bench

Json = dict[str, Any]
_MARK = "FAULT_DEPLOYMENT"


class Deployment:
    """``deploy --json`` of the host; what it prints is read as it comes.

    Args:
        ground: Where.
        bench: Whose deployer, where it is not this machine's own.
        before: A command that the deployer's is given to.

    Attributes:
        events: What it has said so far.
        words: What it has said to a person.
        reported: When it gave its report, by ``time.monotonic``; never, as long as it did not.
    """

    def __init__(
        self, ground: Ground, *, bench: Bench | None = None, before: tuple[str, ...] = ()
    ) -> None:
        self.events: list[Json] = []
        self.words: list[str] = []
        self.reported = math.inf
        self._mark = f"{_MARK}={os.urandom(8).hex()}"
        bench = bench or ground.bench
        bench = replace(bench, more={**bench.more, **dict([self._mark.split("=")])})
        self._process = subprocess.Popen(
            (*before, str(ORCHESTRATOR), "deploy", "--json", HOST),
            cwd=bench.root,
            env=bench.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._readers = [
            threading.Thread(target=read, daemon=True)
            for read in (self._read_events, self._read_words)
        ]
        for reader in self._readers:
            reader.start()

    def has_entered(self, phase: str, times: int = 1) -> bool:
        """Whether the host has entered a phase, so many times."""
        return sum(event.get("phase") == phase for event in list(self.events)) >= times

    @property
    def pid(self) -> int:
        """The deployer's process."""
        return self._process.pid

    @property
    def over(self) -> bool:
        """Whether the deployer has ended."""
        return self._process.poll() is not None

    @property
    def was_killed(self) -> bool:
        """Whether a signal ended it."""
        return self._process.returncode < 0

    def kill(self) -> None:
        """Kill the deployer, and nothing else, as the kernel does when memory runs out."""
        self._process.send_signal(signal.SIGKILL)

    def end(self) -> None:
        """End it and all that it started, however it is."""
        for pid in (self._process.pid, *self.orphans()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def wait(self, seconds: float) -> None:
        """Wait for its end, and for that of all that it started.

        Raises:
            AssertionError: It does not end in time, or something that it started does not.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        assert self.over, f"the deployer did not end within {seconds} s: {self.events[-3:]}"
        until(lambda: not self.orphans(), 20, "what the deployer started is to end with it")
        for reader in self._readers:
            reader.join(10)

    def folder_of_its_own(self, folder: Path) -> Path:
        """A folder as the deployer sees it, where it has mounts of its own."""
        return Path(f"/proc/{self._process.pid}/root") / folder.relative_to("/")

    def orphans(self) -> list[int]:
        """Processes other than the deployer that inherited its environment; a learner may stay."""
        return [pid for pid in self._marked() if not _learns(pid)]

    def end_learners(self) -> None:
        """End what it has left to learn in the background."""
        for pid in self._marked():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @property
    def exit_code(self) -> int:
        """Its exit code; negative where a signal ended it."""
        return self._process.returncode

    @property
    def report(self) -> Json | None:
        """Its report, where it lived to give one."""
        return next((event for event in self.events if event["type"] == "report"), None)

    @property
    def result(self) -> Json | None:
        """The host's result by its report."""
        return None if self.report is None else self.report["hosts"][HOST]

    def notices(self) -> list[str]:
        """The sentences that it told a person."""
        return [event["text"] for event in self.events if event["type"] == "notice"]

    def _marked(self) -> list[int]:
        mark = f"{self._mark}\0".encode()
        return [pid for pid, text in _environments() if mark in text and pid != self._process.pid]

    def _read_events(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):  # it was killed in the middle of a line
                self.events.append(json.loads(line))
                if self.events[-1]["type"] == "report":
                    self.reported = time.monotonic()

    def _read_words(self) -> None:
        assert self._process.stderr is not None
        self.words.extend(self._process.stderr)


def _learns(pid: int) -> bool:
    """Whether a process is a learner, or what one has started: these stand back for others."""
    with contextlib.suppress(OSError):
        return os.sched_getscheduler(pid) == os.SCHED_IDLE
    return False


def _environments() -> list[tuple[int, bytes]]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found.append((int(process.name), (process / "environ").read_bytes()))
    return found
