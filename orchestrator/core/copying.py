"""How a system comes to a host, and what is known of the way there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class CopyMethod(Enum):
    """How paths are copied to a host."""

    CONNECTION = "connection"
    """Nix's own protocol over the connection that is open already."""
    SSH_NG = "ssh-ng"
    """Nix's own protocol over an ``ssh`` of Nix's own."""
    STREAM = "stream"
    """The missing paths as one compressed stream over the connection that is open already."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be copied.

    Attributes:
        paths: How many store paths.
        size: Their size as NAR archives, in bytes.
    """

    paths: int
    size: int


@dataclass(frozen=True, slots=True)
class Link:
    """The way to a host.

    Attributes:
        rate: Bytes a second.
        round_trip: Seconds.
    """

    rate: float
    round_trip: float


@dataclass(frozen=True, slots=True)
class Sample:
    """What one probe or one copy showed of the way to a host.

    Attributes:
        at: When.
        method: How it was copied; ``None`` for a probe.
        size: NAR bytes that were copied.
        sent: Bytes that went over the link.
        seconds: How long that took.
        round_trip: Seconds, as far as known then.
    """

    at: datetime
    method: CopyMethod | None
    size: int
    sent: int
    seconds: float
    round_trip: float

    @property
    def rate(self) -> float:
        """Bytes a second: the link gave at least that."""
        return self.sent / max(self.seconds, 1e-6)
