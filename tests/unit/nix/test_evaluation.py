"""A run's evaluations: side by side as far as memory goes, each host's failure its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.core import process
from orchestrator.core.errors import StepError, UsageError
from orchestrator.core.host import Connect, Host, Limits
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.core.units import MemoryLimit
from orchestrator.nix import evaluation, memory
from orchestrator.nix import verbs as nix
from orchestrator.nix.asker import Quiet
from orchestrator.nix.evaluation import Evaluations
from orchestrator.nix.memory import ENVIRONMENT, GIB, MIB
from orchestrator.nix.verbs import Flake, OutOfMemoryError

FLAKE = Flake(".", "/fleet")
OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos")
DONE = Evaluated(DrvPath(f"{OUT}.drv"), OUT)


class Given:
    """Gives the flake as it is."""

    async def flake(self, _host: Host) -> Flake:
        """At once."""
        return FLAKE


@dataclass(eq=False)
class Running:
    """An evaluation that a test ends."""

    attr: str
    env: Mapping[str, str]
    end: asyncio.Future[Evaluated]
    used: int = GIB

    def finish(self) -> None:
        """Let it succeed."""
        self.end.set_result(DONE)

    def fail(self, error: StepError) -> None:
        """Let it fail."""
        self.end.set_exception(error)


@dataclass
class Machine:
    """A machine in memory: what Nix does there, and what it has left."""

    total: int = 24 * GIB
    running: dict[int, Running] = field(default_factory=dict)
    began: list[str] = field(default_factory=list)

    async def evaluate(self, _: Flake, attr: str, **given: Any) -> Evaluated:
        """Stand in for ``nix.evaluate``."""
        self.began.append(attr)
        pid = len(self.began)
        end = asyncio.get_running_loop().create_future()
        self.running[pid] = Running(attr, given["env"], end)
        try:
            given["on_start"](pid)
            return await end
        finally:
            del self.running[pid]

    def kill(self, pid: int) -> None:
        """Stand in for ``process.kill_group``."""
        self.running[pid].fail(OutOfMemoryError("evaluation failed: it was killed by SIGKILL"))

    def used(self, pid: int) -> int:
        """Stand in for ``memory.used``."""
        return self.running[pid].used if pid in self.running else 0

    def free(self) -> tuple[MemoryLimit, ...]:
        """Stand in for ``memory.free``."""
        taken = sum(one.used for one in self.running.values())
        return (MemoryLimit(self.total - taken, "this machine"),)

    @property
    def attrs(self) -> list[str]:
        """Who runs now, the oldest first."""
        return [one.attr for one in self.running.values()]

    def of(self, attr: str) -> Running:
        """The evaluation of a host that runs now."""
        return next(one for one in self.running.values() if one.attr == attr)


class Told(Quiet, frozen=True):
    """Keeps what a person is told."""

    said: list[str] = msgspec.field(default_factory=list)

    def notice(self, text: str, *, warning: bool = False) -> None:  # noqa: ARG002
        """Keep it."""
        self.said.append(text)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Put the machine in the real one's place."""
    made = Machine()
    monkeypatch.setattr(nix, "evaluate", made.evaluate)
    monkeypatch.setattr(process, "kill_group", made.kill)
    monkeypatch.setattr(memory, "used", made.used)
    monkeypatch.setattr(memory, "free", made.free)
    monkeypatch.setattr(evaluation, "INTERVAL", 0.0)
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    monkeypatch.delenv("GC_INITIAL_HEAP_SIZE", raising=False)
    return made


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test's story; none may hang."""

    async def bounded() -> None:
        async with asyncio.timeout(60):
            await work

    asyncio.run(bounded())


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that must come."""
    while not holds():  # noqa: ASYNC110 (what is waited for has no event)
        await asyncio.sleep(0)


async def settled() -> None:
    """Give all that could happen the time to happen."""
    for _ in range(50):
        await asyncio.sleep(0)


def told(name: str) -> Told:
    """Who wants a host evaluated."""
    return Told(Host(name, name, Connect(name)))


def evaluations(folder: Path, **limits: int) -> Evaluations:
    """A run's, of at most ten hosts, four at once."""
    return Evaluations(Given(), Limits(**{"evaluations": 4, **limits}), folder, hosts=10)


def test_as_many_run_as_fit(machine: Machine, tmp_path: Path) -> None:
    """With 1 GiB each in a budget of 2.6, two run; the third starts when one ends."""

    async def story() -> None:
        made = evaluations(tmp_path, evaluation_memory=2600 * MIB)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(made.evaluate(told(name))) for name in "abc"]
            await settled()
            assert machine.attrs == ["a", "b"]
            machine.of("a").finish()
            await until(lambda: machine.attrs == ["b", "c"])
            machine.of("b").finish()
            machine.of("c").finish()
        assert [task.result() for task in tasks] == [DONE] * 3

    run(story())


def test_no_more_than_the_number_that_is_allowed(machine: Machine, tmp_path: Path) -> None:
    """Memory is not all: there are cores, too."""

    async def story() -> None:
        made = evaluations(tmp_path, evaluations=3)
        async with asyncio.TaskGroup() as group:
            for name in "abcde":
                group.create_task(made.evaluate(told(name)))
            await settled()
            assert machine.attrs == ["a", "b", "c"]
            while len(machine.began) < 5 or machine.running:
                next(iter(machine.running.values())).finish()
                await settled()

    run(story())
    assert machine.began == list("abcde")


def test_a_peak_is_kept_for_the_next_run(machine: Machine, tmp_path: Path) -> None:
    """What took 5 GiB last time is not started twice in 8."""

    async def first() -> None:
        one = asyncio.create_task(evaluations(tmp_path).evaluate(told("a")))
        await until(lambda: bool(machine.running))
        machine.of("a").used = 5 * GIB
        await settled()
        machine.of("a").finish()
        await one

    async def second() -> None:
        made = evaluations(tmp_path, evaluation_memory=8 * GIB)
        async with asyncio.TaskGroup() as group:
            for name in "ab":
                group.create_task(made.evaluate(told(name)))
            await settled()
            assert machine.attrs == ["a"]
            machine.of("a").finish()
            await until(lambda: machine.attrs == ["b"])
            machine.of("b").finish()

    run(first())
    run(second())


def test_an_answer_from_nixs_cache_teaches_nothing(machine: Machine, tmp_path: Path) -> None:
    """An evaluation answered from Nix's cache does not lower the peak that is kept."""
    (tmp_path / "evaluation-peak").write_text(str(5 * GIB))

    async def story() -> None:
        one = asyncio.create_task(evaluations(tmp_path).evaluate(told("a")))
        await until(lambda: bool(machine.running))
        machine.of("a").used = 30 * MIB
        await settled()
        machine.of("a").finish()
        await one

    run(story())
    assert (tmp_path / "evaluation-peak").read_text() == str(5 * GIB)


def test_the_youngest_is_stopped_and_comes_again_by_itself(
    machine: Machine, tmp_path: Path
) -> None:
    """Over the budget, the oldest goes on; what was stopped succeeds later, with a small heap."""

    async def story() -> None:
        made = evaluations(tmp_path, evaluation_memory=4 * GIB)
        asker = told("b")
        async with asyncio.TaskGroup() as group:
            group.create_task(made.evaluate(told("a")))
            stopped = group.create_task(made.evaluate(asker))
            await until(lambda: machine.attrs == ["a", "b"])
            machine.of("a").used = machine.of("b").used = 3 * GIB
            await until(lambda: machine.attrs == ["a"])
            await settled()
            assert machine.attrs == ["a"], "it waits until it is alone"
            machine.of("a").finish()
            await until(lambda: machine.attrs == ["b"])
            assert machine.of("b").env == {"GC_INITIAL_HEAP_SIZE": str(64 * MIB)}
            machine.of("b").finish()
        assert stopped.result() == DONE
        assert "stopped, as memory became short" in asker.said[0]

    run(story())
    assert machine.began == ["a", "b", "b"]


def test_the_last_one_is_never_stopped(machine: Machine, tmp_path: Path) -> None:
    """A host that needs more than a person allows is evaluated by itself; that is said once."""

    async def story() -> None:
        asker = told("a")
        made = evaluations(tmp_path, evaluation_memory=GIB)
        one = asyncio.create_task(made.evaluate(asker))
        await until(lambda: bool(machine.running))
        machine.of("a").used = 3 * GIB
        await settled()
        machine.of("a").finish()
        assert await one == DONE
        assert asker.said == [
            "its evaluation takes 3.0 GiB, and limits.evaluation_memory leaves 1.0 GiB; "
            "it goes on by itself"
        ]

    run(story())


def test_out_of_memory_twice_is_reported(machine: Machine, tmp_path: Path) -> None:
    """The second time by itself; then with the peak, the budget, and what to do."""

    async def story() -> None:
        made = evaluations(tmp_path, evaluation_memory=3 * GIB)
        async with asyncio.TaskGroup() as group:
            other = group.create_task(made.evaluate(told("other")))
            failing = asyncio.create_task(made.evaluate(told("big")))
            await until(lambda: machine.attrs == ["other", "big"])
            await settled()
            machine.of("big").fail(OutOfMemoryError("evaluation failed: out of memory"))
            await settled()
            assert machine.attrs == ["other"]
            machine.of("other").finish()
            await until(lambda: machine.attrs == ["big"])
            machine.of("big").used = 2 * GIB
            await settled()
            machine.of("big").fail(OutOfMemoryError("evaluation failed: out of memory"))
            with pytest.raises(StepError) as caught:
                await failing
        assert other.result() == DONE
        assert "it took 2.0 GiB" in caught.value.message
        assert "limits.evaluation_memory leaves 3.0 GiB" in caught.value.message
        assert "swap" in (caught.value.hint or "")

    run(story())
    assert machine.began == ["other", "big", "big"]


def test_an_error_is_the_hosts_own(machine: Machine, tmp_path: Path) -> None:
    """An evaluation's error is its own host's: it is not tried again, and others go on."""

    async def story() -> None:
        made = evaluations(tmp_path)
        async with asyncio.TaskGroup() as group:
            good = group.create_task(made.evaluate(told("good")))
            bad = asyncio.create_task(made.evaluate(told("bad")))
            await until(lambda: len(machine.running) == 2)
            machine.of("bad").fail(StepError("evaluation failed: syntax error"))
            with pytest.raises(StepError, match="syntax error"):
                await bad
            machine.of("good").finish()
        assert good.result() == DONE

    run(story())
    assert machine.began == ["good", "bad"]


@pytest.mark.parametrize("gone", ["a", "b", "c"])
def test_who_is_cancelled_gives_the_place_back(machine: Machine, tmp_path: Path, gone: str) -> None:
    """A cancelled evaluation, running or waiting, frees its place for the others."""

    async def story() -> None:
        made = evaluations(tmp_path, evaluations=2)
        tasks = {name: asyncio.create_task(made.evaluate(told(name))) for name in "abcd"}
        await settled()
        tasks.pop(gone).cancel()
        await settled()
        assert gone not in machine.attrs
        while not all(task.done() for task in tasks.values()):
            next(iter(machine.running.values())).finish()
            await settled()
        assert [await task for task in tasks.values()] == [DONE] * 3
        assert not machine.running

    run(story())


@pytest.mark.parametrize(("set_by_a_person", "env"), [(None, str(512 * MIB)), ("77M", None)])
def test_the_heap(
    machine: Machine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    set_by_a_person: str | None,
    env: str | None,
) -> None:
    """A quarter of a worker's share of the budget, unless a person sized it."""
    if set_by_a_person:
        monkeypatch.setenv("GC_INITIAL_HEAP_SIZE", set_by_a_person)

    async def story() -> None:
        made = evaluations(tmp_path, evaluation_memory=8 * GIB)
        one = asyncio.create_task(made.evaluate(told("a")))
        await until(lambda: bool(machine.running))
        assert machine.of("a").env.get("GC_INITIAL_HEAP_SIZE") == env
        machine.of("a").finish()
        await one

    run(story())


def test_the_environment_goes_before_the_inventory(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A size there counts; what is none is refused by name."""
    monkeypatch.setenv(ENVIRONMENT, "1G")

    async def story() -> None:
        made = evaluations(tmp_path, evaluation_memory=20 * GIB)
        async with asyncio.TaskGroup() as group:
            for name in "ab":
                group.create_task(made.evaluate(told(name)))
            await settled()
            assert machine.attrs == ["a"]
            machine.of("a").finish()
            await until(lambda: machine.attrs == ["b"])
            machine.of("b").finish()

    run(story())
    monkeypatch.setenv(ENVIRONMENT, "a lot")
    with pytest.raises(UsageError, match=ENVIRONMENT):
        evaluations(tmp_path)
