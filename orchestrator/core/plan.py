"""What will be done to a host, decided before anything is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from orchestrator.core.goal import Goal
from orchestrator.core.host import Host
from orchestrator.core.store import OutPath, Target


class Step(Enum):
    """The steps of a host's way, in their order."""

    BUILD = "build"
    COPY = "copy"
    DRY_ACTIVATE = "dry-activate"
    ACTIVATE = "activate"
    PROVE = "prove"
    VERIFY = "verify"
    COMMIT = "commit"


@dataclass(frozen=True, slots=True)
class HostPlan:
    """The steps that bring one host to its target.

    Attributes:
        target: The system to deploy.
        return_to: The system to go back to when a step before the commit fails; ``None`` where the
            plan never activates.
        reason: Why there is something to do, in words.
    """

    host: Host
    goal: Goal
    target: Target
    steps: tuple[Step, ...]
    return_to: OutPath | None
    reason: str
