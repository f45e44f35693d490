"""What a host answered when it was asked, or why there was no answer."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.errors import StepError
from orchestrator.model.host import Host
from orchestrator.model.state import HostState


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
