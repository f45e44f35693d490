"""One host of a lab, and what it is at."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from msgspec import Struct, structs

from orchestrator.core.units import split_lines
from orchestrator.lab import seed
from orchestrator.lab.cgroup import Cgroup, run, start
from orchestrator.lab.image import Image
from orchestrator.lab.places import LabError, package_data
from orchestrator.lab.record import PREFIX, HostRecord

_DEPLOY_ID = 1000
_START_DEADLINE = 2.0
# What systemd(1) does on these signals to PID 1.
_POWER_OFF = signal.SIGRTMIN + 4
_REBOOT = signal.SIGRTMIN + 5


class LabHost(Struct, frozen=True):
    """A host of a lab, running or not."""

    name: str
    record: HostRecord
    folder: Path
    cgroup: Cgroup

    @property
    def running(self) -> bool:
        """Whether any of its processes lives."""
        return self.cgroup.populated

    @property
    def console(self) -> Path:
        """What the host and its runner said, over all its boots."""
        return self.folder / "console.log"

    @property
    def disk(self) -> Path:
        """The file that is its disk, where it has one with an end."""
        return self.folder / "disk.img"

    @property
    def leader(self) -> int | None:
        """The process that is PID 1 on the host."""
        init = self.cgroup / "machine" / "payload" / "init.scope"
        for pid in init.pids():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
                status = Path(f"/proc/{pid}/status").read_text()
                ids = next(line for line in split_lines(status) if line.startswith("NSpid:"))
                if ids.split()[-1] == "1":
                    return pid
        return None

    @property
    def runner(self) -> int:
        """The process that holds the host's network.

        Raises:
            LabError: The host is off.
        """
        pids = (self.cgroup / "runner").pids()
        if not pids:
            raise LabError(f"host '{self.name}' is off", hint=f"orchestrator lab up {self.name}")
        return min(pids)

    def start(self, image: Image, keeper: int) -> None:
        """Power the host on; returns as soon as its first process lives."""
        for group in ("runner", "machine"):
            (self.cgroup / group).create()
        variables = {
            "LAB_NAME": self.name,
            "LAB_DIR": str(self.folder),
            "LAB_BASE": str(image.rootfs),
            "LAB_CGROUP": str(self.cgroup.path),
            "LAB_ADDRESS": f"{self.record.address}/{PREFIX}",
            "LAB_MAC": self.record.mac,
            "LAB_PORT": self.record.port,
            "LAB_KEEPER": str(keeper),
            "LAB_NSPAWN": str(image.nspawn),
        }
        if self.record.whole:
            variables |= {
                "LAB_BASE": str(self.folder / "empty"),
                "LAB_LOADER": str(package_data("loader.py")),
                "LAB_PYTHON": sys.executable,
            }
        start("sh", package_data("base/runner/host"), log=self.console, env=variables)
        until = time.monotonic() + _START_DEADLINE
        while not self.running and time.monotonic() < until:
            time.sleep(0.005)

    def kill(self) -> None:
        """Cut the power: every process of the host ends in the same instant."""
        self.cgroup.remove()

    def inside(self, script: str, *arguments: str) -> str:
        """Run a shell script as root on the host, be its network cut or it frozen.

        Raises:
            LabError: It failed, or the host is off or still booting.
        """
        leader = self.leader
        if leader is None:
            raise LabError(f"host '{self.name}' is off or still booting", hint="try again")
        return run(
            *("nsenter", f"--target={leader}", "--all", "--"),
            # NixOS has its programs nowhere else.
            *("sh", "-euc", f"PATH=$PATH:/run/current-system/sw/bin\n{script}", "sh", *arguments),
        )

    def ask_to_power_off(self) -> None:
        """Ask the host's systemd to stop everything and power off; returns at once."""
        self._signal(_POWER_OFF)

    def reboot(self, deadline: float = 30) -> None:
        """Ask the host's systemd to reboot; returns when it boots again.

        Raises:
            LabError: It does not reboot in time.
        """
        before = self.leader
        self._signal(_REBOOT)
        until = time.monotonic() + deadline
        while self.leader in (None, before):
            if time.monotonic() > until:
                raise LabError(f"host '{self.name}' does not reboot within {deadline:.0f} s")
            time.sleep(0.02)

    def stop(self, deadline: float = 10) -> None:
        """Power the host off in order, and cut its power if it takes too long."""
        self.ask_to_power_off()
        until = time.monotonic() + deadline
        while self.running and time.monotonic() < until:
            time.sleep(0.02)
        self.kill()

    def _signal(self, number: int) -> None:
        if self.cgroup.frozen:
            self.cgroup.freeze(False)
        if (leader := self.leader) is not None:
            with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
                os.kill(leader, number)


def furnish(host: LabHost, authorized_key: str, host_key: seed.KeyPair) -> None:
    """Make the folder of a new host: its name, its identity, who may log in."""
    for layer in ("upper", "work", "root"):
        (host.folder / layer).mkdir(parents=True, exist_ok=True)
    etc = host.folder / "upper/etc"
    etc.mkdir(exist_ok=True)
    (etc / "hostname").write_text(host.name + "\n")
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n{host.record.address} {host.name}\n")
    (etc / "machine-id").write_text(host.record.machine_id + "\n")
    seed.write_private(etc / "ssh/ssh_host_ed25519_key", host_key.private)
    (etc / "ssh/ssh_host_ed25519_key.pub").write_text(host_key.public + "\n")
    if host.record.whole:
        # An empty root; systemd-nspawn wants to see a /usr, and the accounts are the system's.
        for folder in (host.folder / "empty", host.folder / "upper/usr"):
            folder.mkdir(exist_ok=True)
        return
    for home, owner in (("root", 0), ("var/lib/deploy", _DEPLOY_ID)):
        folder = host.folder / "upper" / home / ".ssh"
        seed.write_private(folder / "authorized_keys", authorized_key + "\n")
        (folder.parent).chmod(0o700)
        folder.chmod(0o700)
        for path in (folder.parent, folder, folder / "authorized_keys"):
            shutil.chown(path, owner, owner)


class HostStatus(Struct, frozen=True):
    """One host. ``state`` is off, up, frozen, or silent (it runs and no SSH server answers)."""

    name: str
    address: str
    machine_id: str
    state: str


class LabStatus(Struct, frozen=True):
    """One lab."""

    id: str
    folder: Path
    up: bool
    hosts: list[HostStatus]

    def to_json(self) -> dict[str, object]:
        """Return what ``orchestrator lab status --json`` prints."""
        return {
            "id": self.id,
            "folder": str(self.folder),
            "up": self.up,
            "hosts": {host.name: structs.asdict(host) for host in self.hosts},
        }
