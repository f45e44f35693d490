"""A lab: a fleet's hosts, real, on this machine."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.values import replace
from orchestrator.lab import cgroup, disk, faults, image, own_nixpkgs, record, seed
from orchestrator.lab.cgroup import Cgroup, cgroup2_root, lab_group
from orchestrator.lab.host import HostStatus, LabHost, LabStatus, furnish
from orchestrator.lab.image import Image, Progress
from orchestrator.lab.network import Network
from orchestrator.lab.places import LabError, LabPlaces, locked
from orchestrator.lab.record import HostRecord, LabRecord

BOOT_DEADLINE = 60.0
"""Seconds from power on to an SSH banner."""

STOP_DEADLINE = 5.0
"""Seconds that hosts have to power off before their power is cut."""

_COMPLETE = "complete"
"""The last file that a new host's folder gets."""


def silent(_: str) -> None:
    """Take progress and say nothing."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a lab's hosts are to be built by.

    Attributes:
        nixpkgs: A flake reference or an absolute path; empty: the stand-in.
        flake: The fleet's.
        again: Whether to fetch what ``nixpkgs`` names by now, where the lab has it already.
    """

    nixpkgs: str
    flake: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class Lab:
    """The lab that belongs to a fleet's folder."""

    fleet_root: Path
    places: LabPlaces
    cgroup: Cgroup
    on_progress: Progress = silent

    @classmethod
    def of(cls, fleet_root: Path, on_progress: Progress = silent) -> Lab:
        """Return a fleet's lab, up or not.

        Raises:
            LabRequirementError: This machine cannot run a lab.
        """
        cgroup.check_root()
        places = LabPlaces.of(fleet_root)
        group = lab_group(cgroup2_root(), places.id)
        return cls(fleet_root.resolve(), places, group, on_progress)

    @property
    def network(self) -> Network:
        """The network of the deployer and the hosts."""
        return Network(self.cgroup / "network")

    def up(
        self,
        names: Sequence[str],
        *,
        fresh: bool = False,
        disk_size: str | None = None,
        source: Source | None = None,
        placeholders: bool | None = None,
    ) -> LabStatus:
        """Bring hosts up; those that are up already stay as they are.

        Args:
            names: The hosts.
            fresh: Forget the state that these hosts had, down to their first generation.
            disk_size: Give new hosts a disk of this size, such as ``1G``; without, it has no end.
            source: What the hosts are built by; without, what the lab has been so far.
            placeholders: Whether something stands for each of the fleet's secrets; likewise.

        Raises:
            LabError: A host does not answer SSH in time, or a step before that failed.
        """
        cgroup.check(len(names), has_image=Image.wanted().exists)
        with locked(self.places.lock, self.on_progress):
            base = image.ensure(self.on_progress)
            lab = self._recorded(base, source, placeholders)
            gone = frozenset(names) if fresh else frozenset()
            lab = self._furnish(names, lab, base, disk_size, source, gone)
            self._boot(names, lab)
            self._wait(names, lab)
        return self.status()

    def down(self, *, purge: bool = False) -> None:
        """End everything that the lab runs, whatever state an earlier command left it in.

        Args:
            purge: Remove the hosts' state and the lab's folder as well.
        """
        with locked(self.places.lock, self.on_progress):
            self._stop_hosts()
            self.cgroup.remove()
            disk.clear(self.cgroup)
            if purge:
                shutil.rmtree(self.places.root, ignore_errors=True)
                seed.remove_mount_point()
                self.places.lock.unlink(missing_ok=True)
            elif (lab := record.load(self.places.record)) is not None:
                replace(lab, up=False).save(self.places.record)

    def status(self) -> LabStatus:
        """Ask what runs."""
        lab = record.load(self.places.record)
        if lab is None or self.network.keeper is None:
            answering: dict[str, bool] = {}
        else:
            everyone = [self._host(name, host) for name, host in lab.hosts.items()]
            answering = self.network.answering(everyone, 0.5)
        hosts = [] if lab is None else [self._host_status(n, lab, answering) for n in lab.hosts]
        return LabStatus(self.places.id, self.places.root, self.network.keeper is not None, hosts)

    def host(self, name: str) -> LabHost:
        """Return a host of the lab.

        Raises:
            LabError: The lab has no such host.
        """
        lab = record.load(self.places.record)
        if lab is None or name not in lab.hosts:
            there = ", ".join(lab.hosts) if lab else "no host at all"
            raise LabError(
                f"the lab has no host '{name}'; it has {there}", hint="orchestrator lab up"
            )
        return self._host(name, lab.hosts[name])

    def fault(self, name: str, fault: str, options: faults.FaultOptions | None = None) -> None:
        """Put a fault into a host; see ``faults.FAULTS``. One that boots it waits for its SSH.

        Raises:
            LabError: The fault cannot be put in, or the host does not answer SSH afterwards.
        """
        lab = record.load(self.places.record)
        host = self.host(name)
        assert lab is not None
        target = faults.FaultTarget(host, self.network, Image(lab.base))
        done = faults.apply(fault, target, options or faults.FaultOptions())
        if done.boots:
            self._wait([name], lab)

    def wait(self, name: str, seconds: float = BOOT_DEADLINE) -> bool:
        """Wait for a host's SSH server, and tell whether it answered."""
        return self.network.answering([self.host(name)], seconds)[name]

    def _host(self, name: str, host: HostRecord) -> LabHost:
        return LabHost(name, host, self.places.host(name), self.cgroup / "hosts" / name)

    def _host_status(self, name: str, lab: LabRecord, answering: dict[str, bool]) -> HostStatus:
        host = self._host(name, lab.hosts[name])
        if not host.running:
            state = "off"
        elif host.cgroup.frozen:
            state = "frozen"
        else:
            state = "up" if answering.get(name) else "silent"
        return HostStatus(name, host.record.address, host.record.machine_id, state)

    def _forget(self, names: Iterable[str]) -> None:
        lab = record.load(self.places.record)
        for name in names:
            if lab is not None and name in lab.hosts:
                self._host(name, lab.hosts[name]).kill()
            shutil.rmtree(self.places.host(name), ignore_errors=True)

    def _recorded(self, base: Image, source: Source | None, placeholders: bool | None) -> LabRecord:
        """What the lab has been so far, with what is asked of it now."""
        lab = record.load(self.places.record)
        if lab is None:
            # Processes without a record: somebody removed the folder of a running lab.
            self.cgroup.remove()
            lab = LabRecord(self.fleet_root, self.cgroup.path, True, base.path, {})
        if source is not None:
            lab = replace(lab, nixpkgs=source.nixpkgs)
        if placeholders is not None:
            lab = replace(lab, placeholders=placeholders)
        return replace(lab, up=True)

    def _furnish(
        self,
        names: Sequence[str],
        lab: LabRecord,
        base: Image,
        disk_size: str | None,
        source: Source | None,
        gone: frozenset[str],
    ) -> LabRecord:
        """Make what is missing in the lab's folder, and record it; ``gone`` are made again."""
        stays = replace(lab, hosts={n: host for n, host in lab.hosts.items() if n not in gone})
        lab = replace(lab, base=self._base_for(stays, base).path)
        self._refuse_another_kind(stays)
        self.places.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        authorized = seed.keep(self.places.identity)
        first = self._nixpkgs(lab, base, authorized, source)
        new = [name for name in names if not self._is_furnished(name, stays)]
        # A host is removed once there is another one for it.
        generation = first() if new else None
        own_nixpkgs.settle(self.places)
        self._forget(gone)
        for name in new:
            assert generation is not None
            lab = self._new_host(name, lab, authorized, generation, disk_size)
        self._tell_other_keys(names, lab)
        record.write_ssh(self.places, lab)
        lab.save(self.places.record)
        return lab

    def _nixpkgs(
        self, lab: LabRecord, base: Image, key: str, source: Source | None
    ) -> Callable[[], seed.Seed]:
        """Put the hosts' nixpkgs into its place; return what makes their first generation."""
        if not lab.nixpkgs:
            seed.place_nixpkgs(base, self.places.nixpkgs, placeholders=lab.placeholders)
            return lambda: seed.ensure(base, self.places.nixpkgs, self.on_progress)
        self.on_progress(own_nixpkgs.REPLACED)
        own_nixpkgs.forget_next(self.places)
        own = own_nixpkgs.OwnNixpkgs(lab.nixpkgs, base, self.places, self.on_progress)
        before = record.load(self.places.record)
        same = before is not None and before.nixpkgs == lab.nixpkgs
        if (source is None or not source.again) and same and self.places.nixpkgs.is_dir():
            own.change(key, placeholders=lab.placeholders)
        else:
            own.place(key, placeholders=lab.placeholders)
            own.fetch_inputs(source.flake if source else str(self.fleet_root))
        return own.seed

    def _refuse_another_kind(self, lab: LabRecord) -> None:
        """Stop where hosts were made of the stand-in and a nixpkgs is named now, or converse."""
        whole = bool(lab.nixpkgs)
        others = [
            name
            for name, host in lab.hosts.items()
            if host.whole != whole and self._is_furnished(name, lab)
        ]
        if others:
            raise LabError(
                f"{', '.join(others)}: made of "
                + ("the stand-in for nixpkgs" if whole else "a nixpkgs of the fleet's own")
                + ", and no lab has both kinds of host",
                hint=f"forget their state: orchestrator lab up --fresh {' '.join(others)}",
            )

    def _is_furnished(self, name: str, lab: LabRecord) -> bool:
        return name in lab.hosts and (self.places.host(name) / _COMPLETE).exists()

    def _tell_other_keys(self, names: Sequence[str], lab: LabRecord) -> None:
        """Tell of hosts that were made before the fleet had their keys in the open."""
        for name in names:
            key = seed.in_the_open(self.fleet_root, name)
            if key is not None and key.public != lab.hosts[name].host_key:
                self.on_progress(
                    f"{name} keeps its older host key, which opens no secret of {seed.OPEN} "
                    f"(renew: orchestrator lab up --fresh {name})"
                )

    def _base_for(self, lab: LabRecord, wanted: Image) -> Image:
        """Keep the base image that existing hosts were made on: their upper layers belong to it."""
        there = any(self._is_furnished(name, lab) for name in lab.hosts)
        if lab.base == wanted.path or not there or not lab.base.is_dir():
            return wanted
        self.on_progress(
            "the hosts keep their older base image (renew: orchestrator lab up --fresh)"
        )
        return Image(lab.base)

    def _new_host(
        self, name: str, lab: LabRecord, authorized: str, first: seed.Seed, disk_size: str | None
    ) -> LabRecord:
        key = seed.in_the_open(self.fleet_root, name) or seed.generate()
        old = lab.hosts.get(name)
        number = lab.next_number() if old is None else old.number
        machine_id = record.machine_id(self.places.id, name)
        host = HostRecord(number, machine_id, key.public, whole=bool(lab.nixpkgs))
        shutil.rmtree(self.places.host(name), ignore_errors=True)
        made = self._host(name, host)
        furnish(made, authorized, key)
        seed.plant(first, made.folder)
        if disk_size is not None:
            disk.give(made, disk_size)
        (made.folder / _COMPLETE).touch()
        return lab.with_host(name, host)

    def _boot(self, names: Sequence[str], lab: LabRecord) -> None:
        keeper = self.network.ensure()
        off = [host for name in names if not (host := self._host(name, lab.hosts[name])).running]
        if off:
            self.on_progress(f"booting {', '.join(host.name for host in off)}")
        for host in off:
            host.start(Image(lab.base), keeper)

    def _wait(self, names: Sequence[str], lab: LabRecord) -> None:
        hosts = [self._host(name, lab.hosts[name]) for name in names]
        answers = self.network.answering(hosts, BOOT_DEADLINE)
        silent_ones = [name for name, answered in answers.items() if not answered]
        if silent_ones:
            raise LabError(
                f"no SSH server answers on {', '.join(silent_ones)}",
                hint=f"orchestrator lab console {silent_ones[0]}",
            )

    def _stop_hosts(self) -> None:
        names = [folder.name for folder in (self.cgroup / "hosts").path.glob("*/")]
        nobody = HostRecord(0, "", "")
        hosts = [self._host(name, nobody) for name in names]
        until = time.monotonic() + STOP_DEADLINE
        while (running := [host for host in hosts if host.running]) and time.monotonic() < until:
            for host in running:
                # Again and again: early in its boot systemd does not listen yet.
                host.ask_to_power_off()
            _wait_until_off(running, 0.5)


def _wait_until_off(hosts: Sequence[LabHost], seconds: float) -> None:
    until = time.monotonic() + seconds
    while any(host.running for host in hosts) and time.monotonic() < until:
        time.sleep(0.02)
