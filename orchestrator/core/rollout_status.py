"""Where a rollout is: what its run writes down for other terminals, and what they may tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

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


@dataclass(frozen=True, slots=True)
class Order:
    """A word, of whom, and an id by which the run says that it has heard it."""

    id: str
    word: Word
    who: str


@dataclass(frozen=True, slots=True)
class WaveStatus:
    """A wave, and where each of its hosts is."""

    name: str
    standing: Standing
    hosts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RolloutStatus:
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
    until: datetime | None = None
    answered: str | None = None

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
