"""The lab's network, and how a process enters it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import Struct

from orchestrator.lab import seed
from orchestrator.lab.cgroup import Cgroup, possible_groups, run
from orchestrator.lab.host import LabHost
from orchestrator.lab.image import Image
from orchestrator.lab.places import (
    LabError,
    LabPlaces,
    LabRequirementError,
    enter_network,
    inside_network,
    package_data,
)
from orchestrator.lab.record import DEPLOYER_ADDRESS, PREFIX, LabRecord, load

SSH_PORT = 22


class ActiveLab(Struct, frozen=True):
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
    if os.geteuid() != 0:
        raise LabRequirementError(
            f"a lab is up for {active.fleet_root}, and only root can enter it",
            hint="run the same command as root, or leave the lab: orchestrator lab down",
        )
    enter_network(active.keeper)
    if not seed.machine_has_nix():
        seed.use(Image(active.record.base))


def borrow_nix(fleet_root: Path) -> None:
    """Give this process the lab's Nix where the machine has none and the fleet's lab is up.

    The process stays where it is: it is for a command that contacts no host.

    Raises:
        LabError: As :func:`find_active`.
    """
    if shutil.which("nix") or os.geteuid() != 0:
        return
    if (active := find_active(fleet_root)) is not None:
        seed.use(Image(active.record.base))


_BANNER = b"SSH-"


class Network(Struct, frozen=True):
    """The network of one lab. One process holds it, known by the group that it is in."""

    cgroup: Cgroup

    @property
    def keeper(self) -> int | None:
        """The process that holds the network; ``None`` when it is down."""
        pids = self.cgroup.pids()
        return pids[0] if pids else None

    def require(self) -> int:
        """Return the process that holds the network.

        Raises:
            LabError: The network is down.
        """
        if (keeper := self.keeper) is None:
            raise LabError("the lab's network is down", hint="orchestrator lab up")
        return keeper

    def ensure(self) -> int:
        """Bring the network up unless it is, and return the process that holds it."""
        if (keeper := self.keeper) is not None:
            return keeper
        self.cgroup.create()
        script = package_data("base/runner/network")
        said = run(
            "setsid", "--fork", "sh", script, self.cgroup.path, f"{DEPLOYER_ADDRESS}/{PREFIX}"
        )
        if said != "ready":
            raise LabError("the lab's network namespace could not be made")
        return self.require()

    def run(self, *argv: str) -> str:
        """Run a command inside the network."""
        return run("nsenter", f"--net=/proc/{self.require()}/ns/net", "--", *argv)

    def answering(self, hosts: Sequence[LabHost], seconds: float) -> dict[str, bool]:
        """Tell for each host whether its SSH server answers.

        Args:
            hosts: The hosts; one that is off is not waited for.
            seconds: How long to wait at most.
        """
        if not hosts:
            return {}
        until = time.monotonic() + seconds
        with inside_network(self.require()), ThreadPoolExecutor(len(hosts)) as pool:
            answers = pool.map(lambda host: _wait_for_ssh(host, until), hosts)
            return dict(zip((host.name for host in hosts), answers, strict=True))


def _wait_for_ssh(host: LabHost, until: float) -> bool:
    while host.running:
        left = until - time.monotonic()
        if _answers(host.record.address, timeout=max(0.1, min(1.0, left))):
            return True
        if left < 0:
            return False
        time.sleep(0.02)
    return False


def _answers(address: str, timeout: float) -> bool:
    try:
        with socket.create_connection((address, 22), timeout) as connection:
            return connection.recv(len(_BANNER)) == _BANNER
    except OSError:
        return False


_BURST = "32kb"
_LATENCY = "400ms"

# Classic BPF, as tc-bpf(8) takes it: number of instructions, then code, jumps and operand of each.
# Load a random number (SKF_AD_RANDOM, <linux/filter.h>); where it is not below the bound, go on
# with the packet (TC_ACT_UNSPEC), else drop it (TC_ACT_SHOT).
_DROP_BELOW = "4,32 0 0 4294963256,53 1 0 {bound},6 0 0 2,6 0 0 4294967295"


def slow(host: LabHost, network: Network, rate: str) -> None:
    """Let only so much through, each way."""
    for tc in _both_ends(host, network):
        tc("qdisc", "replace", "root", "tbf", "rate", rate, "burst", _BURST, "latency", _LATENCY)


def delay(host: LabHost, network: Network, ms: int, loss: float) -> None:
    """Delay packets and lose some, each way.

    Raises:
        LabError: The kernel has no netem queue.
    """
    for tc in _both_ends(host, network):
        try:
            tc("qdisc", "replace", "root", "netem", "delay", f"{ms}ms", "loss", f"{loss}%")
        except LabError as error:
            raise LabError(
                "the link cannot be delayed: this kernel has no netem queue",
                hint="modprobe sch_netem; slow and lossy need no such module",
            ) from error


def lose(host: LabHost, network: Network, loss: float) -> None:
    """Lose packets by chance, each way.

    Args:
        host: The host at the end of the cable.
        network: That of its lab.
        loss: Per cent.
    """
    program = _DROP_BELOW.format(bound=int(loss / 100 * 0xFFFFFFFF))
    for tc in _both_ends(host, network):
        with contextlib.suppress(LabError):  # there is none to delete
            tc("qdisc", "delete", "clsact")
        tc("qdisc", "add", "clsact")
        tc("filter", "add", "egress", "bpf", "direct-action", "bytecode", program)


def mend(host: LabHost, network: Network) -> None:
    """Let all packets through at once."""
    for tc in _both_ends(host, network):
        for queue in ("root", "clsact"):
            with contextlib.suppress(LabError):  # there is none to delete
                tc("qdisc", "delete", queue)


def _both_ends(host: LabHost, network: Network) -> tuple[Callable[..., str], Callable[..., str]]:
    """Return tc(8) at each end of the host's cable; the device is put in after the verb."""

    def to_host(kind: str, verb: str, *rest: str) -> str:
        return network.run("tc", kind, verb, "dev", host.record.port, *rest)

    def from_host(kind: str, verb: str, *rest: str) -> str:
        inside = f"--net=/proc/{host.runner}/ns/net"
        return run("nsenter", inside, "--", "tc", kind, verb, "dev", "eth0", *rest)

    return to_host, from_host
