"""What a host answered when it was asked, or why there was no answer."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.errors import StepError
from orchestrator.core.host import Host
from orchestrator.core.lock import Hold, Lock
from orchestrator.core.state import HostState


@dataclass(frozen=True, slots=True)
class Answer:
    """What one host said: a state, or why there is none.

    Attributes:
        seconds: From the first packet to the answer.
    """

    host: Host
    state: HostState | None
    error: StepError | None
    seconds: float


@dataclass(frozen=True, slots=True)
class HoldAnswer:
    """What became of a hold that was to be placed on a host, or lifted there.

    Attributes:
        done: Whether something was changed there.
        hold: The hold that stands now; where one was lifted, that one.
        lock: The deployment that is at the host.
        error: Why the host could not be asked.
    """

    host: Host
    done: bool = False
    hold: Hold | None = None
    lock: Lock | None = None
    error: StepError | None = None
