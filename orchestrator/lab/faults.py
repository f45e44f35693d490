"""Faults that can be put into a lab host; one entry in the table each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.lab import disk
from orchestrator.lab import network as lab_network
from orchestrator.lab.host import LabHost
from orchestrator.lab.image import Image
from orchestrator.lab.network import Network
from orchestrator.lab.places import LabError

_LOSS = 5.0


@dataclass(frozen=True, slots=True)
class FaultTarget:
    """What a fault acts on."""

    host: LabHost
    network: Network
    image: Image


@dataclass(frozen=True, slots=True)
class FaultOptions:
    """How strong the fault is.

    Attributes:
        rate: For slow, in tc(8)'s words.
        ms: For delay, milliseconds each way.
        loss: For delay and lossy, per cent of the packets each way; lossy makes 5 of none.
        size: For disk-full and memory-full, what is left: a number with ``k``, ``m`` or ``g``.
    """

    rate: str = "8mbit"
    ms: int = 50
    loss: float = 0
    size: str = "16m"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: what it does, in words and in deed.

    Attributes:
        summary: What it does.
        apply: Does it.
        boots: The host boots then, which one may want to wait for.
    """

    summary: str
    apply: Callable[[FaultTarget, FaultOptions], None]
    boots: bool = False


def apply(name: str, target: FaultTarget, options: FaultOptions) -> Fault:
    """Put a fault into a host.

    Returns:
        The fault.

    Raises:
        LabError: There is no such fault, or the host is not in a state for it.
    """
    if (fault := FAULTS.get(name)) is None:
        raise LabError(f"there is no fault '{name}'", hint=f"there are: {', '.join(FAULTS)}")
    if name != "start" and not target.host.running:
        raise LabError(
            f"host '{target.host.name}' is off",
            hint=f"orchestrator lab fault {target.host.name} start",
        )
    fault.apply(target, options)
    return fault


def _partition(target: FaultTarget, _: FaultOptions) -> None:
    target.network.run("ip", "link", "set", target.host.record.port, "down")


def _heal(target: FaultTarget, _: FaultOptions) -> None:
    if target.host.cgroup.frozen:
        target.host.cgroup.freeze(False)
    target.network.run("ip", "link", "set", target.host.record.port, "up")
    lab_network.mend(target.host, target.network)
    disk.lift(target.host)
    if target.host.leader is not None:
        disk.empty(target.host)


def _slow(target: FaultTarget, options: FaultOptions) -> None:
    lab_network.slow(target.host, target.network, options.rate)


def _delay(target: FaultTarget, options: FaultOptions) -> None:
    lab_network.delay(target.host, target.network, options.ms, options.loss)


def _lossy(target: FaultTarget, options: FaultOptions) -> None:
    lab_network.lose(target.host, target.network, options.loss or _LOSS)


def _disk_full(target: FaultTarget, options: FaultOptions) -> None:
    disk.fill(target.host, options.size)


def _memory_full(target: FaultTarget, options: FaultOptions) -> None:
    disk.limit(target.host, options.size)


def _kill(target: FaultTarget, _: FaultOptions) -> None:
    target.host.kill()


def _stop(target: FaultTarget, _: FaultOptions) -> None:
    target.host.stop()


def _start(target: FaultTarget, _: FaultOptions) -> None:
    if not target.host.running:
        target.host.start(target.image, target.network.require())


def _reboot(target: FaultTarget, _: FaultOptions) -> None:
    target.host.reboot()


def _freeze(target: FaultTarget, _: FaultOptions) -> None:
    target.host.cgroup.freeze(True)


def _thaw(target: FaultTarget, _: FaultOptions) -> None:
    target.host.cgroup.freeze(False)


FAULTS = {
    "partition": Fault("pull the network cable: packets vanish, nothing is refused", _partition),
    "slow": Fault("limit the link to --rate, both ways", _slow),
    "delay": Fault("delay packets by --ms and lose --loss per cent, each way", _delay),
    "lossy": Fault("lose --loss per cent of the packets, each way", _lossy),
    "disk-full": Fault(
        "leave --size to write on its disk; in /nix where the lab gave it none",
        _disk_full,
    ),
    "memory-full": Fault(
        "leave --size of memory to take: the kernel kills what takes more", _memory_full
    ),
    "heal": Fault("undo partition, slow, delay, lossy, disk-full, memory-full and freeze", _heal),
    "kill": Fault("cut the power", _kill),
    "stop": Fault("power off in order", _stop),
    "start": Fault("power on", _start, boots=True),
    "reboot": Fault("reboot in order", _reboot, boots=True),
    "freeze": Fault("hang the whole host: connections open, nothing answers", _freeze),
    "thaw": Fault("undo freeze", _thaw),
}
"""Every fault by its name."""
