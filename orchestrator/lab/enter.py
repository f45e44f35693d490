"""Entering a lab: from here on, this process and its children reach the lab's hosts.

The person types the same commands as for a real fleet. At its start a command asks
``find_active(fleet_root)``, and if a lab is up, calls ``enter`` while it is still single-threaded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from orchestrator.lab.cgroup import Cgroup, possible_groups
from orchestrator.lab.places import LabError, LabPlaces, LabRecord, LabRequirementError, load

SSH_PORT = 22


@dataclass(frozen=True, slots=True)
class ActiveLab:
    """A lab that is up, and all that a deployer needs to know of it."""

    places: LabPlaces
    record: LabRecord
    keeper: int

    @property
    def fleet_root(self) -> Path:
        """The fleet's folder."""
        return self.record.fleet_root

    @property
    def hosts(self) -> dict[str, str]:
        """Each host's address; SSH is on ``SSH_PORT``."""
        return {name: host.address for name, host in self.record.hosts.items()}

    @property
    def machine_ids(self) -> dict[str, str]:
        """Each host's machine-id(5)."""
        return {name: host.machine_id for name, host in self.record.hosts.items()}

    @property
    def ssh_config(self) -> Path:
        """For ``ssh -F``: names, keys and host keys."""
        return self.places.ssh_config

    @property
    def known_hosts(self) -> Path:
        """Every host's key, by name and by address."""
        return self.places.known_hosts

    @property
    def identity(self) -> Path:
        """The private key that ``root`` and ``deploy`` accept on every host."""
        return self.places.identity

    @property
    def nixpkgs(self) -> Path:
        """For ``--override-input nixpkgs path:…``."""
        return self.places.nixpkgs


def find_active(fleet_root: Path) -> ActiveLab | None:
    """Return the lab that is up for a fleet; ``None`` where there is none or it is down.

    Raises:
        LabError: The lab should be up and is gone, or another user's lab is up: the hosts that
            are meant are not clear then.
    """
    places = LabPlaces.of(fleet_root)
    record = load(places.record)
    if record is None or not record.up:
        _refuse_anothers(fleet_root, places)
        return None
    pids = Cgroup(record.cgroup / "network").pids()
    if not pids:
        raise LabError(
            f"the lab of {fleet_root} was up and is gone (was the machine restarted?)",
            hint="orchestrator lab up to go on in the lab, orchestrator lab down to leave it",
        )
    return ActiveLab(places, record, pids[0])


def _refuse_anothers(fleet_root: Path, places: LabPlaces) -> None:
    """Stop where a lab is up for the fleet whose record is another user's, such as root's."""
    for cgroup in possible_groups(places.id):
        if cgroup.populated:
            raise LabError(
                f"a lab is up for {fleet_root}, and it is another user's",
                hint="run the same command as that user, or mean the real hosts: --no-lab",
            )


def enter(active: ActiveLab) -> None:
    """Move this process into the lab's network, and give it a Nix if the machine has none.

    A Nix ≥ 2.18 on the ``PATH`` is used as it is; its daemon, if it has one, stays outside.

    Raises:
        LabRequirementError: This user may not.
    """
    from orchestrator.lab import places as namespaces
    from orchestrator.lab import seed as deployer_nix
    from orchestrator.lab.image import Image

    if os.geteuid() != 0:
        raise LabRequirementError(
            f"a lab is up for {active.fleet_root}, and only root can enter it",
            hint="run the same command as root, or leave the lab: orchestrator lab down",
        )
    namespaces.enter_network(active.keeper)
    if not deployer_nix.machine_has_nix():
        deployer_nix.use(Image(active.record.base))
