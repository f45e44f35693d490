"""What a host says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING

from orchestrator.core.lock import Hold, Lock
from orchestrator.core.store import OutPath
from orchestrator.core.token import host_of

if TYPE_CHECKING:
    from orchestrator.core.guard import Attempt


class BootSource(Enum):
    """Where the boot default was read."""

    SYSTEMD_BOOT = "systemd-boot"
    GRUB = "grub"
    EXTLINUX = "extlinux"
    PROFILE = "profile"

    @property
    def is_boot_loader(self) -> bool:
        """Whether the boot loader's own files said it; else the profile stands for it."""
        return self is not BootSource.PROFILE


@dataclass(frozen=True, slots=True)
class Record:
    """What the last deployment left on the host, in ``/var/lib/orchestrator/record``.

    Attributes:
        run: The run's number on the machine that deployed.
        who: ``user@machine`` of the deployer.
        revision: The fleet's git revision, with ``-dirty`` where it was; ``None`` outside git.
        out_path: The system that was deployed.
        at: When it was committed, by the host's clock.
        emergency: The reason given, where it was an emergency deployment.
        skipped: The ids of preflight checks that were skipped.
        began: When its deployer began to change the host, by that machine's clock.
        token: Names run and host; empty where the record does not say.
    """

    run: int
    who: str
    revision: str | None
    out_path: OutPath
    at: datetime
    emergency: str | None = None
    skipped: tuple[str, ...] = ()
    began: datetime | None = None
    token: str = ""


@dataclass(frozen=True, slots=True)
class HostState:
    """One answer of one host to one question, so that its parts belong together.

    Attributes:
        machine_id: The content of ``/etc/machine-id``.
        running: ``/run/current-system``.
        booted: ``/run/booted-system``.
        profile: ``/nix/var/nix/profiles/system``.
        boot_default: The system that the next boot starts.
        boot_source: Where ``boot_default`` was read.
        failed_units: Names of the units in state *failed*.
        boot_id: The kernel's identifier of this boot.
        lock: The deployment that is at it, or was and did not release its lock.
        hold: A person's word that nobody deploys there.
        attempt: The last attempt to change it, in flight or ended.
    """

    machine_id: str
    running: OutPath | None
    booted: OutPath | None
    profile: OutPath | None
    boot_default: OutPath | None
    boot_source: BootSource = BootSource.PROFILE
    failed_units: tuple[str, ...] = ()
    boot_id: str = ""
    record: Record | None = None
    lock: Lock | None = None
    hold: Hold | None = None
    attempt: Attempt | None = None

    @property
    def deployed_as(self) -> str:
        """The host as which the machine was deployed last; empty where nothing there says.

        The machine's ids prove nothing: containers of one kernel share the boot id, and clones the
        machine-id.
        """
        attempt, record = self.attempt, self.record
        if attempt is not None and attempt.stands(self.boot_id) and host_of(attempt.token):
            return host_of(attempt.token)
        return host_of(record.token) if record is not None else ""

    def another_than(self, host: str) -> str:
        """The other host that the machine is; empty where it is this one, or nothing there says."""
        return self.deployed_as if self.deployed_as != host else ""

    def is_at(self, wanted: OutPath) -> bool:
        """Whether running system, profile and boot default all are ``wanted``."""
        return self.running == self.profile == self.boot_default == wanted
