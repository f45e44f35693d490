"""Waves: the policy, and where a rollout is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Self

from msgspec import Struct, structs

from orchestrator.core.stored import Time, check_times
from orchestrator.core.values import replace

AMOUNT = r"[1-9][0-9]{0,5}|(?:[1-9][0-9]?|100)%"
"""A regular expression: a number of hosts, or a percentage."""

DEFAULT_BUDGET = 1
"""Hosts that must fail before a rollout is stopped, where nothing else is said."""


class Amount(Struct, frozen=True):
    """A number of hosts, or a percentage of them.

    Attributes:
        number: From 1 on; of a percentage, up to 100.
    """

    number: int
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``3`` or ``25%``.

        Raises:
            ValueError: It is neither.
        """
        if re.fullmatch(AMOUNT, text) is None:
            raise ValueError(f"{text!r} is neither a number of hosts, from 1 on, nor 1% to 100%")
        return cls(int(text.removesuffix("%")), text.endswith("%"))

    def of(self, total: int) -> int:
        """How many of ``total`` hosts that is; a percentage is rounded up."""
        return -(-total * self.number // 100) if self.percent else self.number

    def __str__(self) -> str:
        return f"{self.number}%" if self.percent else str(self.number)


class WhenSpent(Enum):
    """What to do with hosts that were deployed, once too many others failed."""

    STOP = "stop"
    ROLL_BACK_WAVE = "roll-back-wave"
    ROLL_BACK_RUN = "roll-back-run"


class Stage(Struct, frozen=True):
    """Hosts that come before those of the next stage, such as ``lab`` before ``production``.

    Attributes:
        name: What the stage is called.
        hosts: A selector.
        batch: How many at a time, in this stage; else as everywhere.
        pause: Seconds after each of its waves; else as everywhere.
    """

    name: str
    hosts: str
    batch: Amount | None = None
    pause: float | None = None

    def under(self, policy: RolloutPolicy) -> Stage:
        """This stage, without what a policy that goes before it says itself."""
        return replace(
            self,
            batch=self.batch if policy.batch is None else None,
            pause=self.pause if policy.pause is None else None,
        )


class RolloutPolicy(Struct, frozen=True):
    """How a fleet is gone over. What is ``None`` is not said.

    Attributes:
        canary: Who goes first: a number or percentage of hosts, or a selector.
        batch: How many hosts at a time, after those.
        pause: Seconds between two waves.
        budget: How many hosts must fail for the rollout to be stopped.
        when_spent: What is done then, besides going no further.
        stages: In their order; hosts that are in none come last.
        at_once: Whether everybody is deployed at the same time, whatever else is said.
    """

    canary: Amount | str | None = None
    batch: Amount | None = None
    pause: float | None = None
    budget: Amount | None = None
    when_spent: WhenSpent | None = None
    stages: tuple[Stage, ...] | None = None
    at_once: bool | None = None

    def over(self, other: RolloutPolicy) -> RolloutPolicy:
        """This policy, and where it says nothing the other one, or one of that one's stages."""
        if other.stages:
            other = replace(other, stages=tuple(stage.under(self) for stage in other.stages))
        mine = structs.asdict(self)
        return RolloutPolicy(
            **{
                name: getattr(other, name) if value is None else value
                for name, value in mine.items()
            }
        )

    def most_failures(self, total: int) -> int:
        """How many of ``total`` hosts must fail for the rollout to be stopped."""
        return DEFAULT_BUDGET if self.budget is None else self.budget.of(total)


class Wave(Struct, frozen=True):
    """Hosts that are deployed at the same time.

    Attributes:
        name: Such as ``canary`` or ``batch 2 of 3``.
        hosts: Their names, in the inventory's order; never none.
        pause: Seconds after it, before the next one.
    """

    name: str
    hosts: tuple[str, ...]
    pause: float = 0.0


PREPARING, READY, DEPLOYING = "preparing", "ready", "deploying"
"""A host that has not ended: it is evaluated, asked and built; it waits for its wave; its turn has
come. One that has ended has its outcome's name."""


class Standing(Enum):
    """How it stands with a wave, or with the whole rollout."""

    WAITING = "waiting"
    GOING = "going"
    PAUSED = "paused"
    STOPPED = "stopped"
    ENDED = "ended"


class Word(Enum):
    """What a person tells a rollout from another terminal."""

    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"


class Order(Struct, frozen=True):
    """A word, of whom, and an id by which the run acknowledges it."""

    id: str
    word: Word
    who: str


class WaveStatus(Struct, frozen=True):
    """A wave, and where each of its hosts is."""

    name: str
    standing: Standing
    hosts: Mapping[str, str]


class RolloutStatus(Struct, frozen=True):
    """Where a rollout is.

    Attributes:
        run: The run's number.
        why: Why it is paused or stopped.
        until: When a pause ends by itself.
        answered: The id of the last order that it has heard.
    """

    run: int
    standing: Standing
    waves: tuple[WaveStatus, ...]
    why: str | None = None
    until: Time | None = None
    answered: str | None = None

    def __post_init__(self) -> None:
        check_times(self.until)

    @property
    def hosts(self) -> dict[str, str]:
        """Where each host is."""
        return {name: at for wave in self.waves for name, at in wave.hosts.items()}

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it; where it is stopped, hosts that began still end."""
        if self.standing is Standing.STOPPED:
            return not {PREPARING, READY, DEPLOYING} & set(self.hosts.values())
        return self.standing is Standing.ENDED
