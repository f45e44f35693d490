"""The lab's network: a namespace with a bridge, for the deployer and the hosts' ports."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from orchestrator.lab.cgroup import Cgroup
from orchestrator.lab.errors import LabError
from orchestrator.lab.host import LabHost
from orchestrator.lab.namespaces import inside_network
from orchestrator.lab.places import package_data
from orchestrator.lab.record import DEPLOYER_ADDRESS, PREFIX
from orchestrator.lab.shell import run

_BANNER = b"SSH-"


@dataclass(frozen=True, slots=True)
class Network:
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
