"""Running commands side by side: each contender in turn, several times over."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TAIL = 400


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ended, or was ended at its deadline.

    Attributes:
        seconds: Wall clock, from its start to its end.
        rc: Its exit code; negative for a signal.
        said: What it wrote, both streams.
    """

    seconds: float
    rc: int
    said: str


def run(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], deadline: float = 1800) -> Ran:
    """Run a command to its end; at the deadline (seconds) it and its children are killed."""
    began = time.perf_counter()
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=deadline)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        said += f"\nkilled after {deadline:.0f} s"
    return Ran(time.perf_counter() - began, process.returncode, said)


def run_all(
    commands: Sequence[Sequence[str]], *, cwd: Path, env: Mapping[str, str], deadline: float = 1800
) -> Ran:
    """Run commands one after the other, up to the first that fails; the times are added."""
    seconds, said = 0.0, ""
    for argv in commands:
        done = run(argv, cwd=cwd, env=env, deadline=deadline)
        seconds, said = seconds + done.seconds, said + done.said
        if done.rc != 0:
            return Ran(seconds, done.rc, said)
    return Ran(seconds, 0, said)


@dataclass(slots=True)
class Series:
    """One contender's repetitions.

    Attributes:
        seconds: Of each repetition that succeeded.
        failure: How the first one that failed ended; it is tried no more then.
    """

    seconds: list[float] = field(default_factory=list)
    failure: str = ""

    def add(self, done: Ran) -> None:
        """Enter a repetition."""
        if done.rc == 0:
            self.seconds.append(done.seconds)
        else:
            self.failure = f"exit {done.rc}: {done.said.strip()[-TAIL:]}"

    @property
    def median(self) -> float | None:
        """Seconds; ``None`` where a repetition failed or none was made."""
        return statistics.median(self.seconds) if self.seconds and not self.failure else None


def interleaved(contenders: Mapping[str, Callable[[int], Ran]], repeat: int) -> dict[str, Series]:
    """Run each contender once, then each again, so that a busy minute is everybody's.

    Args:
        contenders: By name; each is handed the number of its repetition, from 0.
        repeat: How many times over.
    """
    series = {name: Series() for name in contenders}
    for number in range(repeat):
        for name, contender in contenders.items():
            if not series[name].failure:
                series[name].add(contender(number))
    return series
