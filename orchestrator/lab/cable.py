"""What a host's cable does to packets: few a second, late, or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from orchestrator.lab.errors import LabError
from orchestrator.lab.host import LabHost
from orchestrator.lab.network import Network
from orchestrator.lab.shell import run

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
