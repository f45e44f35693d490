"""Waves: who is in which, whose turn it is, when no further host begins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol

from orchestrator.core.errors import StepError, UsageError
from orchestrator.core.event import Phase
from orchestrator.core.host import Fleet, Host
from orchestrator.core.outcome import Deferred, Outcome, outcome_name
from orchestrator.core.rollout import (
    DEPLOYING,
    PREPARING,
    READY,
    Amount,
    RolloutPolicy,
    Stage,
    Wave,
)
from orchestrator.inventory.select import select

EVERYBODY = "all hosts"
CANARY = "canary"
REST = "the rest"
"""The stage of hosts that are in no stage."""


def waves(fleet: Fleet, hosts: Sequence[Host], policy: RolloutPolicy) -> tuple[Wave, ...]:
    """Divide the selected hosts: each is in exactly one wave, and no wave is empty.

    Args:
        fleet: Which selectors are of.
        hosts: Those selected, in the inventory's order, which is kept within a wave.
        policy: Who goes first, and how many at a time.

    Raises:
        UsageError: A selector of the policy means no host of the fleet.
    """
    names = tuple(host.name for host in hosts)
    if policy.at_once:
        return (Wave(EVERYBODY, names),) if names else ()
    stages = _stages(fleet, names, policy.stages or ())
    in_order = tuple(name for _, members in stages for name in members)
    canary = _canary(fleet, in_order, policy.canary)
    made = [Wave(CANARY, canary, policy.pause or 0.0)] if canary else []
    gone = frozenset(canary)
    for stage, members in stages:
        left = tuple(name for name in members if name not in gone)
        made += _batches(stage, left, policy)
    return tuple(made)


def _stages(
    fleet: Fleet, names: tuple[str, ...], stages: Sequence[Stage]
) -> list[tuple[Stage | None, tuple[str, ...]]]:
    """Each stage's hosts: one that several stages mean is of the first; then those of none."""
    left = names
    divided: list[tuple[Stage | None, tuple[str, ...]]] = []
    for stage in stages:
        meant = _meant(fleet, stage.hosts, f"stage {stage.name}")
        divided.append((stage, tuple(name for name in left if name in meant)))
        left = tuple(name for name in left if name not in meant)
    rest = Stage(REST, "*") if stages else None
    return [*divided, (rest, left)]


def _canary(fleet: Fleet, names: tuple[str, ...], canary: Amount | str | None) -> tuple[str, ...]:
    match canary:
        case None:
            return ()
        case Amount():
            return names[: canary.of(len(names))]
        case selector:
            meant = _meant(fleet, selector, CANARY)
            return tuple(name for name in names if name in meant)


def _meant(fleet: Fleet, selector: str, whose: str) -> set[str]:
    try:
        return {host.name for host in select(fleet, (selector,))}
    except UsageError as error:
        raise UsageError(f"rollout: {whose}: {error.message}", hint=error.hint) from error


def _batches(stage: Stage | None, names: tuple[str, ...], policy: RolloutPolicy) -> list[Wave]:
    batch = (stage.batch if stage else None) or policy.batch
    pause = stage.pause if stage and stage.pause is not None else policy.pause or 0.0
    size = batch.of(len(names)) if batch else len(names)
    parts = [names[at : at + size] for at in range(0, len(names), size)] if names else []
    return [
        Wave(_name(stage, number, len(parts)), part, pause) for number, part in enumerate(parts, 1)
    ]


def _name(stage: Stage | None, number: int, of: int) -> str:
    which = f"{number} of {of}" if of > 1 else ""
    if stage is None:
        return f"batch {which}" if which else EVERYBODY
    return f"{stage.name} {which}".strip()


class HaltedError(StepError):
    """The rollout was stopped before the host's turn came."""


class Slot(Protocol):
    """A host's place among those that are under way."""

    def given_up(self) -> AbstractAsyncContextManager[None]:
        """Leave it to others meanwhile."""


class Share(Protocol):
    """A host's share of a run, as far as its rollout needs it."""

    @property
    def host(self) -> Host:
        """The host."""

    @property
    def token(self) -> str:
        """Names this share of the run on the host."""

    @property
    def place(self) -> Slot:
        """Among the hosts that are under way."""

    @property
    def before(self) -> Any:
        """What the host was before it began to be changed; ``None`` if it was not."""

    @property
    def seconds(self) -> float:
        """How long it took."""

    def step(self, phase: Phase) -> AbstractContextManager[None]:
        """Enter a phase."""

    def doing(self, text: str) -> None:
        """Show what the host is at."""


class Rollout:
    """Lets hosts go on wave by wave. A host of no wave goes on at once.

    A host that waits holds nothing that another host needs.

    Args:
        waves: In their order.
        changed: Called whenever something here has changed.

    Attributes:
        waves: As given.
        works: The hosts' shares of the run, by name.
        outcomes: Of hosts that have ended.
        going: Whether turns come: not while a person has it paused.
        halted: Why no turn comes any more.
        skips_pause: Whether a person wants no time to pass before the next wave.
    """

    def __init__(
        self, waves: Sequence[Wave] = (), changed: Callable[[], None] = lambda: None
    ) -> None:
        self.waves = tuple(waves)
        self.works: dict[str, Share] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.going = True
        self.halted: str | None = None
        self.skips_pause = False
        self._changed = changed
        self._numbers = {name: at for at, wave in enumerate(self.waves) for name in wave.hosts}
        self._opened = [asyncio.Event() for _ in self.waves]
        self._resumed = asyncio.Event()
        self._resumed.set()
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._ready: set[str] = set()
        self._let_in: set[str] = set()
        self._news = asyncio.Event()

    async def turn(self, work: Share) -> None:
        """Wait for the host's wave.

        Raises:
            HaltedError: It will not come.
        """
        name = work.host.name
        number = self._numbers.get(name)
        if number is not None and not self._may_go(number):
            self._ready.add(name)
            self.tell()
            with work.step(Phase.WAIT):
                work.doing(f"ready, for wave {number + 1}, {self.waves[number].name}")
                async with work.place.given_up():
                    await self._until_it_may_go(number)
        if self.halted is not None:
            raise HaltedError(self.skipped)
        self._let_in.add(name)
        self.tell()

    def joins(self, work: Share) -> None:
        """Take note of a host; called in its own task."""
        task = asyncio.current_task()
        assert task is not None
        self.works[work.host.name] = work
        self._tasks[work.host.name] = task

    def finished(self, name: str, outcome: Outcome) -> None:
        """Take note of a host's end; or of another one, where it was rolled back since."""
        self.outcomes[name] = outcome
        self.tell()

    @property
    def skipped(self) -> str:
        """What is said of a host whose turn does not come any more."""
        return f"not tried: {self.halted}"

    def is_skipped(self, name: str) -> bool:
        """Whether the rollout was stopped before the host's turn came."""
        return self.halted is not None and name not in self._let_in

    def open(self, number: int) -> None:
        """Let a wave's hosts go on."""
        self._opened[number].set()
        self.tell()

    def is_open(self, number: int) -> bool:
        """Whether a wave's turn has come."""
        return self._opened[number].is_set()

    def pause(self) -> None:
        """Let no further host go on; those whose turn has come come to their ends."""
        self.going = False
        self._resumed.clear()
        self.tell()

    def resume(self) -> None:
        """Go on after a pause, be it a person's or the policy's."""
        self.going = True
        self.skips_pause = True
        self._resumed.set()
        self.tell()

    def halt(self, why: str) -> None:
        """Let no host go on any more, now or later; those whose turn has come come to their ends.

        Args:
            why: Such as ``the rollout was stopped``, for the outcomes of all others.
        """
        if self.halted is None:
            self.halted = why
        for name, task in self._tasks.items():
            if name not in self._let_in and name not in self.outcomes:
                task.cancel()
        self.tell()

    def ended(self, number: int) -> bool:
        """Whether all hosts of a wave have ended."""
        return all(name in self.outcomes for name in self.waves[number].hosts)

    def nothing_left(self, number: int) -> bool:
        """Whether all hosts of the waves after this one have ended, such as unchanged."""
        return all(self.ended(later) for later in range(number + 1, len(self.waves)))

    def touched(self, number: int) -> bool:
        """Whether any host of a wave was at work: not where all were unchanged or unreachable."""
        return any(
            name in self._let_in and not isinstance(self.outcomes.get(name), Deferred)
            for name in self.waves[number].hosts
        )

    def where(self, name: str) -> str:
        """Where a host is, as ``core/rollout_status.py`` has it."""
        if (outcome := self.outcomes.get(name)) is not None:
            return outcome_name(outcome)
        if name in self._let_in:
            return DEPLOYING
        return READY if name in self._ready else PREPARING

    async def until(self, what: Callable[[], bool], seconds: float | None = None) -> None:
        """Wait until something here is so, or the time is up."""

        async def it_is_so() -> None:
            while not what():
                self._news.clear()
                await self._news.wait()

        if what():
            return
        task = asyncio.create_task(it_is_so())
        try:
            await asyncio.wait((task,), timeout=seconds)
            if task.done():
                task.result()
        finally:
            task.cancel()

    def tell(self) -> None:
        """Tell whoever waits that something has changed."""
        self._news.set()
        self._changed()

    def _may_go(self, number: int) -> bool:
        return self.halted is not None or (self.going and self.is_open(number))

    async def _until_it_may_go(self, number: int) -> None:
        while not self._may_go(number):
            await self._opened[number].wait()
            await self._resumed.wait()
