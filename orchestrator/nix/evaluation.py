"""A run's evaluations: as many at once as the memory that is measured has room for."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.core.event import Phase
from orchestrator.core.host import Host, Limits
from orchestrator.core.store import Evaluated
from orchestrator.core.units import MemoryLimit, size_text
from orchestrator.nix import memory
from orchestrator.nix import verbs as nix
from orchestrator.nix.asker import Asker
from orchestrator.nix.log import text
from orchestrator.nix.memory import (
    LEAST,
    SMALLEST_HEAP,
    Worker,
    budget,
    expected_peak,
    initial_heap,
    limit_of,
    may_start,
    to_stop,
)
from orchestrator.nix.once import Once
from orchestrator.nix.reasons import warning
from orchestrator.nix.verbs import Flake, NoNetworkError, OutOfMemoryError

if TYPE_CHECKING:
    from orchestrator.nix.configuration import Configuration, Evaluable
    from orchestrator.nix.joint import Beside


T = TypeVar("T")

INTERVAL = 0.1  # seconds between two looks at what is taken

_MOST_WARNINGS = 20  # of a run: somebody else's flake may have no end of them

_HEAP, _PEAK = "GC_INITIAL_HEAP_SIZE", "evaluation-peak"


@dataclass(eq=False, slots=True)
class _Job:
    """An evaluation that waits or runs.

    Attributes:
        again: Whether it is tried again, by itself, after memory was short.
        pid: Nix's process, once there is one.
        used: The memory that it takes now, in bytes.
        peak: The most that it was seen to take.
        stopped: Whether it was killed to make room.
        told: Whether it was said that it takes more than it may.
        admitted: Set when it may start.
    """

    asker: Asker
    again: bool = False
    pid: int | None = None
    used: int = 0
    peak: int = 0
    stopped: bool = False
    told: bool = False
    admitted: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def worker(self) -> Worker:
        return Worker(self.used, self.again, self.stopped)

    def started(self, pid: int) -> None:
        self.pid = pid

    def look(self) -> None:
        if self.pid is not None:
            self.used = memory.used(self.pid)
            self.peak = max(self.peak, self.used)


class Evaluations:
    """The evaluations of one run.

    Args:
        source: Where the hosts' configurations are.
        limits: How many at once, and the memory that a person allows them.
        state: The fleet's state folder, where the highest peak is kept between runs.
        hosts: How many hosts there are to evaluate at the most.
        beside: What else is wanted of a host whose system is evaluated.

    Raises:
        UsageError: The environment names a limit that is no size.
    """

    def __init__(
        self,
        source: Evaluable,
        limits: Limits,
        state: Path,
        hosts: int,
        beside: Callable[[Host], Beside | None] = lambda _: None,
    ) -> None:
        cores = len(os.sched_getaffinity(0))
        self._source = source
        self._beside = beside
        self._at_once = max(1, min(limits.evaluations or cores, hosts))
        self._limit = limit_of(limits)
        self._file = state / _PEAK
        self._kept = memory.read(self._file)
        self._seen = 0
        self._waiting: deque[_Job] = deque()
        self._running: list[_Job] = []
        self._without: str | None = None
        self.once = Once()
        self._warned: set[str] = set()

    async def evaluate(self, asker: Asker, why: str = "") -> Evaluated:
        """Evaluate a host, when there is room; once more by itself where memory was short.

        Raises:
            StepError: The configuration does not evaluate, or not within the memory there is.
        """
        first = _Job(asker)
        try:
            return await self._turn(first, why)
        except OutOfMemoryError as error:
            asker.notice(self._why_again(first, error), warning=not first.stopped)
        second = _Job(asker, again=True)
        try:
            return await self._turn(second, "by itself, as memory was short")
        except OutOfMemoryError as error:
            raise self._too_large(error, max(first.peak, second.peak)) from None

    async def _turn(self, job: _Job, why: str) -> Evaluated:
        async with self._place(job), self._watched(job):
            with job.asker.step(Phase.EVALUATE):
                job.asker.doing(why)
                evaluated = await self._evaluated(job)
        self._learn(job.peak)
        return evaluated

    async def _evaluated(self, job: _Job) -> Evaluated:
        """Evaluate; that there is no network is found out once, and said once."""
        host = job.asker.host
        try:
            if self._without is not None:
                raise NoNetworkError("")
            return await self._with_beside(
                job,
                await self._source.flake(host),
                deadline=host.deadlines.evaluate,
                env=self._environment(job),
                on_stderr=partial(self._heard, job.asker),
                on_start=job.started,
            )
        except NoNetworkError:
            if first := self._without:
                raise StepError(f"not evaluated: no network, as host {first!r} says") from None
            self._without = host.name
            raise

    async def _with_beside(self, job: _Job, flake: Flake, **how: Any) -> Evaluated:
        """Evaluate a system and what else is wanted at once; by itself where that does not do."""
        host = job.asker.host
        if not job.again and (beside := self._beside(host)) is not None:
            from orchestrator.nix.joint import evaluate_with

            if (found := await evaluate_with(beside, flake, host.attr, **how)) is not None:
                return found
        return await nix.evaluate(flake, host.attr, **how)

    def _heard(self, asker: Asker, line: bytes) -> None:
        """Take a line of Nix's; a warning that counts is passed on, once a run."""
        asker.on_nix_line(line)
        said = warning(text(line) or "")
        if said is not None and said not in self._warned and len(self._warned) < _MOST_WARNINGS:
            self._warned.add(said)
            asker.notice(said, warning=True)

    async def ask(self, asker: Asker, question: Callable[[Configuration], Awaitable[T]]) -> T:
        """Evaluate something else of a host's configuration; once more where memory was short.

        Raises:
            StepError: The configuration does not evaluate, or not within the memory there is.
        """
        with contextlib.suppress(OutOfMemoryError):
            return await self._asked(_Job(asker), question)
        return await self._asked(_Job(asker, again=True), question)

    async def _asked(self, job: _Job, question: Callable[[Configuration], Awaitable[T]]) -> T:
        from orchestrator.nix.configuration import Configuration  # an unchanged host does without

        host = job.asker.host
        async with self._place(job), self._watched(job):
            flake = await self._source.flake(host)
            until = asyncio.get_running_loop().time() + host.deadlines.evaluate
            env = self._environment(job)
            return await question(
                Configuration(flake, host.attr, host.name, until, env, job.started)
            )

    @contextlib.asynccontextmanager
    async def _place(self, job: _Job) -> AsyncIterator[None]:
        """Wait in line until there is room, and give it back."""
        self._waiting.append(job)
        try:
            self._admit()
            await job.admitted.wait()
            yield
        finally:
            (self._running if job in self._running else self._waiting).remove(job)
            self._admit()

    def _admit(self) -> None:
        """Let those start that are first in line and have room."""
        while self._waiting and len(self._running) < self._at_once:
            workers = self._workers()
            expected = expected_peak(max(self._kept, self._seen), workers)
            if not may_start(workers, self._budget().size, expected, alone=self._waiting[0].again):
                return
            job = self._waiting.popleft()
            self._running.append(job)
            job.admitted.set()

    @contextlib.asynccontextmanager
    async def _watched(self, job: _Job) -> AsyncIterator[None]:
        """Look at what a job takes for as long as it runs."""
        watch = asyncio.create_task(self._watch(job))
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.wait((watch,))
            if not watch.cancelled():
                watch.result()

    async def _watch(self, job: _Job) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            job.look()
            if job is self._running[0]:  # one look at the machine is enough for all
                self._balance()

    def _balance(self) -> None:
        """Stop the youngest where all take more than they may, else see who has room now."""
        allowed = self._budget()
        chosen = to_stop(self._workers(), allowed.size)
        if chosen is not None:
            self._stop(self._running[chosen])
        elif len(self._running) == 1:
            self._tell_of_excess(self._running[0], allowed)
        self._admit()

    def _stop(self, job: _Job) -> None:
        if job.pid is not None:
            job.stopped = True
            process.kill_group(job.pid)

    def _tell_of_excess(self, job: _Job, allowed: MemoryLimit) -> None:
        if job.used > allowed.size and not job.told:
            job.told = True
            job.asker.notice(
                f"its evaluation takes {size_text(job.used)}, and {allowed.source} "
                f"leaves {size_text(allowed.size)}; it goes on by itself",
                warning=True,
            )

    def _workers(self) -> list[Worker]:
        return [job.worker for job in self._running]

    def _budget(self) -> MemoryLimit:
        return budget(memory.free(), sum(job.used for job in self._running), self._limit)

    def _environment(self, job: _Job) -> Mapping[str, str]:
        """Size Nix's heap, unless a person did."""
        if _HEAP in os.environ:
            return {}
        heap = initial_heap(self._budget().size, self._at_once)
        return {_HEAP: str(SMALLEST_HEAP if job.again else heap)}

    def _learn(self, peak: int) -> None:
        """Remember a peak; a low one may be an answer from Nix's cache, and displaces none."""
        if peak > self._seen:
            self._seen = peak
            if peak >= LEAST or not self._kept:
                memory.keep(self._file, peak)

    def _why_again(self, job: _Job, error: OutOfMemoryError) -> str:
        taken = f"it took {size_text(job.peak)}"
        if job.stopped:
            return f"its evaluation was stopped, as memory became short ({taken}); it runs again"
        self._learn(job.peak)
        return f"{error.message} ({taken}); it is evaluated again by itself"

    def _too_large(self, error: OutOfMemoryError, peak: int) -> StepError:
        self._learn(peak)
        allowed = self._budget()
        return StepError(
            f"evaluation ran out of memory, also by itself: it took {size_text(peak)}, and "
            f"{allowed.source} leaves {size_text(allowed.size)} ({error.message})",
            hint="add swap, free memory, raise the limit of the control group or of the shell "
            "(`ulimit -v`), or deploy from a machine that has more memory",
            command=error.command,
            stderr=error.stderr,
        )
