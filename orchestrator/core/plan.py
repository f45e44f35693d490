"""How far a deployment goes, and the steps of one host."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from orchestrator.core.host import Host
from orchestrator.core.specialisation import KEEP, SpecialisePolicy
from orchestrator.core.store import OutPath, Target


class Goal(Enum):
    """The goals, in the words of ``nixos-rebuild``."""

    BUILD = "build"
    PUSH = "push"
    DRY_ACTIVATE = "dry-activate"
    TEST = "test"
    SWITCH = "switch"
    BOOT = "boot"

    @property
    def contacts_host(self) -> bool:
        """Whether the host must answer at all."""
        return self is not Goal.BUILD

    @property
    def copies(self) -> bool:
        """Whether the closure is brought to the host."""
        return self is not Goal.BUILD

    @property
    def dry_activates(self) -> bool:
        """Whether the host is asked what activation would do."""
        return self is Goal.DRY_ACTIVATE

    @property
    def activates(self) -> bool:
        """Whether the running system is changed."""
        return self in (Goal.TEST, Goal.SWITCH)

    @property
    def commits(self) -> bool:
        """Whether the system profile and the boot default are changed."""
        return self in (Goal.SWITCH, Goal.BOOT)

    @property
    def changes_host(self) -> bool:
        """Whether the host runs or will boot something else afterwards."""
        return self.activates or self.commits

    @property
    def achievement(self) -> str:
        """What was reached, in words that claim no more than is so."""
        return _ACHIEVEMENTS[self]


_ACHIEVEMENTS = {
    Goal.BUILD: "built; the host was not contacted",
    Goal.PUSH: "copied to the host; it runs what it ran",
    Goal.DRY_ACTIVATE: "activation was tried dry; the host runs what it ran",
    Goal.TEST: "running until the next reboot; profile and boot default are as they were",
    Goal.SWITCH: "running, and the boot default",
    Goal.BOOT: "the boot default; takes effect at the next reboot",
}


class Step(Enum):
    """The steps of a host's way, in their order."""

    BUILD = "build"
    COPY = "copy"
    DRY_ACTIVATE = "dry-activate"
    ACTIVATE = "activate"
    PROVE = "prove"
    VERIFY = "verify"
    COMMIT = "commit"


class HostPlan(Struct, frozen=True):
    """The steps that bring one host to its target.

    Attributes:
        target: The system to deploy.
        return_to: The system to go back to when a step before the commit fails; ``None`` where the
            plan never activates.
        reason: Why there is something to do, in words.
        cause: Whose change it is, such as ``flake.nix changed``; empty where that is not known, and
            ``None`` where the reason is another one than the wanted system.
        specialise: Which specialisation of the target the host is to run.
        specialisation: Which one that is, by what the host runs; empty for the target itself.
        live: Its path, once the host has it; ``None`` for the target itself.
        warnings: What is switched away that a person may not expect.
    """

    host: Host
    goal: Goal
    target: Target
    steps: tuple[Step, ...]
    return_to: OutPath | None
    reason: str
    cause: str | None = None
    specialise: SpecialisePolicy = KEEP
    specialisation: str = ""
    live: OutPath | None = None
    warnings: tuple[str, ...] = ()

    @property
    def activated(self) -> OutPath:
        """What it makes the host run: the target, or a specialisation of it."""
        return self.live or self.target.out
