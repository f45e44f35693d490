"""Terms of the network: what is let in, and by whom."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.risk import Term
from orchestrator.risk.model import Container, Firewall, Opened
from orchestrator.risk.plan.weights import (
    EVERYTHING,
    FORWARD,
    OWN_RULES,
    PORT,
    PORT_OF_ONE,
    PRIVILEGED,
    SENSITIVE,
    TRUSTED,
    range_weight,
    sensitive,
    unread,
)

_WALL = "networking.firewall"


def firewall(wall: Firewall) -> Iterator[Term]:
    """What the firewall lets in."""
    if wall.enable is None:
        yield unread("firewall:enable", "whether its firewall is on", f"{_WALL}.enable")
    elif not wall.enable:
        what = "has no firewall: every port that a service listens on is open to everybody"
        yield Term("firewall", what, EVERYTHING, f"{_WALL}.enable")
    yield from _opened(wall.everybody, "", _WALL)
    for name, opened in wall.interfaces.items():
        yield from _opened(opened, name, f"{_WALL}.interfaces.{name}")
    for name in wall.trusted:
        if name != "lo":
            what = f"lets in everything that comes by {name}"
            yield Term(f"trusted:{name}", what, TRUSTED, f"{_WALL}.trustedInterfaces")
    for port in wall.forwards:
        what = f"passes port {port} on to another machine"
        yield Term(f"forward:{port}", what, FORWARD, "networking.nat.forwardPorts")
    for option in wall.own:
        what = "has firewall rules of its own, which are not read"
        yield Term(f"rules:{option}", what, OWN_RULES, option, known=False)


def _opened(opened: Opened, interface: str, option: str) -> Iterator[Term]:
    """What is let in by one interface, or by all."""
    whom = f"on {interface}" if interface else "to everybody"
    at = f"@{interface}" if interface else ""
    for protocol, ports, ranges in (
        ("tcp", opened.tcp, opened.tcp_ranges),
        ("udp", opened.udp, opened.udp_ranges),
    ):
        for port in ports:
            weight = PORT_OF_ONE if interface else _port_weight(protocol, port)
            what = f"opens {port}/{protocol} {whom}{'' if interface else sensitive(protocol, port)}"
            allowed = f"{option}.allowed{protocol.upper()}Ports"
            yield Term(f"port:{protocol}:{port}{at}", what, weight, allowed)
        for first, last in ranges:
            weight = PORT_OF_ONE if interface else range_weight(first, last)
            what = f"opens {first}-{last}/{protocol} {whom}"
            allowed = f"{option}.allowed{protocol.upper()}PortRanges"
            yield Term(f"ports:{protocol}:{first}-{last}{at}", what, weight, allowed)


def _port_weight(protocol: str, port: int) -> int:
    return SENSITIVE if sensitive(protocol, port) else PORT


def container(name: str, one: Container) -> Iterator[Term]:
    """What a container publishes: past the firewall, as Docker and Podman do."""
    option = f"virtualisation.oci-containers.containers.{name}"
    for port in one.ports:
        if not port.startswith(("127.", "[::1]", "localhost:")):
            what = f"container {name} publishes {port} past the firewall"
            yield Term(f"publish:{name}:{port}", what, PORT, f"{option}.ports")
    if one.privileged:
        what = f"container {name} is privileged: who breaks out of it is root"
        yield Term(f"privileged:{name}", what, PRIVILEGED, f"{option}.privileged")
