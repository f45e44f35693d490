"""Faults that can be put into a lab host; one entry in the table each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.lab.errors import LabError
from orchestrator.lab.host import LabHost
from orchestrator.lab.image import Image
from orchestrator.lab.network import Network
from orchestrator.lab.shell import run

_BURST = "32kb"
_LATENCY = "400ms"


@dataclass(frozen=True, slots=True)
class Target:
    """What a fault acts on."""

    host: LabHost
    network: Network
    image: Image


@dataclass(frozen=True, slots=True)
class FaultOptions:
    """How strong the fault is. ``rate`` is in tc(8)'s words, such as ``8mbit``."""

    rate: str = "8mbit"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: what it does, in words and in deed."""

    summary: str
    apply: Callable[[Target, FaultOptions], None]


def apply(name: str, target: Target, options: FaultOptions) -> None:
    """Put a fault into a host.

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


def _partition(target: Target, _: FaultOptions) -> None:
    target.network.run("ip", "link", "set", target.host.record.port, "down")


def _heal(target: Target, _: FaultOptions) -> None:
    if target.host.cgroup.frozen:
        target.host.cgroup.freeze(False)
    target.network.run("ip", "link", "set", target.host.record.port, "up")
    for on_side in _both_sides(target):
        with contextlib.suppress(LabError):  # there is none to delete
            on_side("delete")


def _slow(target: Target, options: FaultOptions) -> None:
    for on_side in _both_sides(target):
        on_side("replace", "tbf", "rate", options.rate, "burst", _BURST, "latency", _LATENCY)


def _both_sides(target: Target) -> tuple[Callable[..., str], Callable[..., str]]:
    """Return two callables that change the queue at each end of the host's cable."""

    def to_host(verb: str, *rest: str) -> str:
        return target.network.run(
            "tc", "qdisc", verb, "dev", target.host.record.port, "root", *rest
        )

    def from_host(verb: str, *rest: str) -> str:
        inside = f"--net=/proc/{target.host.runner}/ns/net"
        return run("nsenter", inside, "--", "tc", "qdisc", verb, "dev", "eth0", "root", *rest)

    return to_host, from_host


def _kill(target: Target, _: FaultOptions) -> None:
    target.host.kill()


def _stop(target: Target, _: FaultOptions) -> None:
    target.host.stop()


def _start(target: Target, _: FaultOptions) -> None:
    if not target.host.running:
        target.host.start(target.image, target.network.require())


def _reboot(target: Target, _: FaultOptions) -> None:
    target.host.reboot()


def _freeze(target: Target, _: FaultOptions) -> None:
    target.host.cgroup.freeze(True)


def _thaw(target: Target, _: FaultOptions) -> None:
    target.host.cgroup.freeze(False)


FAULTS = {
    "partition": Fault("pull the network cable: packets vanish, nothing is refused", _partition),
    "heal": Fault("undo partition, slow and freeze", _heal),
    "slow": Fault("limit the link to --rate, both ways", _slow),
    "kill": Fault("cut the power", _kill),
    "stop": Fault("power off in order", _stop),
    "start": Fault("power on", _start),
    "reboot": Fault("reboot in order", _reboot),
    "freeze": Fault("hang the whole host: connections open, nothing answers", _freeze),
    "thaw": Fault("undo freeze", _thaw),
}
"""Every fault by its name."""
