"""How far a deployment goes. A goal answers questions; nobody compares its name."""

from __future__ import annotations

from enum import Enum


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
