"""All cases, by their names, and running many of them on several hosts at once."""

from __future__ import annotations

import contextlib
import fnmatch
import queue
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.lab.faults.changes import CHANGES
from tests.lab.faults.deployers import TROUBLES
from tests.lab.faults.ground import Ground, dismantle, prepare
from tests.lab.faults.injections import INJECTIONS
from tests.lab.faults.phases import PHASES
from tests.lab.faults.play import Result, play, play_change


@dataclass(frozen=True, slots=True)
class Case:
    """One fault in one phase.

    Attributes:
        fault: The fault's name.
        phase: The phase's name.
        play: Brings it, and judges.
    """

    fault: str
    phase: str
    play: Callable[[Ground], Result]

    @property
    def name(self) -> str:
        """Such as ``power-cut@activate``."""
        return f"{self.fault}@{self.phase}"


def _cases() -> Iterator[Case]:
    for fault, injection in INJECTIONS.items():
        for name, phase in PHASES.items():
            yield Case(fault, name, lambda ground, p=phase, i=injection: play(ground, p, i))
    for name, change in CHANGES.items():
        yield Case(name, change.phase, lambda ground, c=change: play_change(ground, c))
    for name, trouble in TROUBLES.items():
        yield Case(name, trouble.phase, trouble.result)


CASES = {case.name: case for case in _cases()}
"""Every case by its name."""


def matching(patterns: Iterable[str]) -> list[Case]:
    """The cases that any of some patterns names, such as ``power-cut@*``; in their order.

    Raises:
        ValueError: A pattern names none.
    """
    chosen = set()
    for pattern in patterns:
        if not (found := fnmatch.filter(CASES, pattern)):
            raise ValueError(f"no case is named {pattern}; --list names them all")
        chosen.update(found)
    return [case for name, case in CASES.items() if name in chosen]


def run(ground: Ground, case: Case) -> Result:
    """Play a case; what goes wrong in playing it is wrong too. The host is whole afterwards."""
    began = time.monotonic()
    try:
        result = case.play(ground)
    except Exception:  # whatever it is, the next case must not suffer from it
        what = f"the case could not be played: {traceback.format_exc()}"
        taken = time.monotonic() - began
        result = Result(case.fault, case.phase, "unknown", None, "nobody", (what,), taken)
    if result.wrong:
        ground.renew()
    return result


def run_all(
    cases: Iterable[Case], count: int, tell: Callable[[Result], None], nixpkgs: str = ""
) -> list[Result]:
    """Play cases on so many hosts at once, each in a lab of its own; ``tell`` hears each result."""
    waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
    for case in cases:
        waiting.put(case)
    results: list[Result] = []
    telling = threading.Lock()

    def work() -> None:
        with ground_of_its_own(nixpkgs) as ground:
            while not waiting.empty():
                try:
                    case = waiting.get_nowait()
                except queue.Empty:
                    return
                result = run(ground, case)
                with telling:
                    results.append(result)
                    tell(result)

    count = min(count, waiting.qsize())
    with ThreadPoolExecutor(count) as pool:
        workers = [pool.submit(work) for _ in range(count)]
        try:
            for worker in workers:
                worker.result()
        except BaseException:  # Ctrl-C too: each ends its case and its lab, and begins no other
            with contextlib.suppress(queue.Empty):
                while True:
                    waiting.get_nowait()
            raise
    return results


@contextlib.contextmanager
def ground_of_its_own(nixpkgs: str = "") -> Iterator[Ground]:
    """A ground in a temporary folder, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        ground = prepare(Path(folder), nixpkgs=nixpkgs)
        try:
            yield ground
        finally:
            dismantle(ground)
