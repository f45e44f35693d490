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
    """How strong the fault is.

    Attributes:
        rate: For slow, in tc(8)'s words.
        ms: For delay, milliseconds each way.
        loss: For delay, per cent of the packets each way.
        size: For disk-full, what is left to write, in the words of tmpfs(5).
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
    apply: Callable[[Target, FaultOptions], None]
    boots: bool = False


def apply(name: str, target: Target, options: FaultOptions) -> Fault:
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


def _partition(target: Target, _: FaultOptions) -> None:
    target.network.run("ip", "link", "set", target.host.record.port, "down")


def _heal(target: Target, _: FaultOptions) -> None:
    if target.host.cgroup.frozen:
        target.host.cgroup.freeze(False)
    target.network.run("ip", "link", "set", target.host.record.port, "up")
    for on_side in _both_sides(target):
        with contextlib.suppress(LabError):  # there is none to delete
            on_side("delete")
    if target.host.leader is not None:
        _on_host(target, _DISK_HEAL)


def _slow(target: Target, options: FaultOptions) -> None:
    for on_side in _both_sides(target):
        on_side("replace", "tbf", "rate", options.rate, "burst", _BURST, "latency", _LATENCY)


def _delay(target: Target, options: FaultOptions) -> None:
    for on_side in _both_sides(target):
        try:
            on_side("replace", "netem", "delay", f"{options.ms}ms", "loss", f"{options.loss}%")
        except LabError as error:
            raise LabError(
                "the link cannot be delayed: this kernel has no netem queue",
                hint="modprobe sch_netem; slow needs no such module",
            ) from error


# What is written from here on goes to a small file system on top of /nix.
_DISK_FULL = """
top=/run/lab-disk-full
mountpoint --quiet $top && exit
systemctl stop nix-daemon.socket nix-daemon.service
mkdir -p $top && mount -t tmpfs -o size=$1 tmpfs $top && mkdir $top/upper $top/work
mount -t overlay -o lowerdir=/nix,upperdir=$top/upper,workdir=$top/work overlay /nix
systemctl start nix-daemon.socket
"""
_DISK_HEAL = """
top=/run/lab-disk-full
mountpoint --quiet $top || exit 0
systemctl stop nix-daemon.socket nix-daemon.service
umount --lazy /nix
umount --lazy $top
systemctl start nix-daemon.socket
"""


def _disk_full(target: Target, options: FaultOptions) -> None:
    _on_host(target, _DISK_FULL, options.size)


def _on_host(target: Target, script: str, *arguments: str) -> None:
    leader = target.host.leader
    if leader is None:
        raise LabError(f"host '{target.host.name}' is still booting", hint="try again")
    run("nsenter", f"--target={leader}", "--all", "--", "sh", "-euc", script, "sh", *arguments)


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
    "slow": Fault("limit the link to --rate, both ways", _slow),
    "delay": Fault("delay packets by --ms and lose --loss per cent, each way", _delay),
    "disk-full": Fault(
        "leave --size to write in /nix; heal takes back what was written", _disk_full
    ),
    "heal": Fault("undo partition, slow, delay, disk-full and freeze", _heal),
    "kill": Fault("cut the power", _kill),
    "stop": Fault("power off in order", _stop),
    "start": Fault("power on", _start, boots=True),
    "reboot": Fault("reboot in order", _reboot, boots=True),
    "freeze": Fault("hang the whole host: connections open, nothing answers", _freeze),
    "thaw": Fault("undo freeze", _thaw),
}
"""Every fault by its name."""
