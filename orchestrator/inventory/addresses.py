"""Check that no two hosts have one address: each name is another machine."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
from collections.abc import Mapping

from orchestrator.inventory.mistake import Mistakes, Place, quoted
from orchestrator.inventory.tree import Fields

_PORT = 22
# What inet_aton(3) takes for an IPv4 address, as ssh does: 10.0.0.1, 10.1, 0x0a000001.
_NUMBERS = re.compile(r"(?:0x[0-9a-f]+|[0-9]+)(?:\.(?:0x[0-9a-f]+|[0-9]+)){0,3}")
_HOP = re.compile(r"(?:[^@]*@)?(?:\[(?P<v6>[^\]]*)\]|(?P<name>[^:]*))(?::(?P<port>[0-9]+))?")

Way = tuple[str, int, tuple[tuple[str, int], ...]]
"""An address, a port, and the jump hosts before it."""


def check_addresses(hosts: Fields, resolved: Mapping[str, Fields], mistakes: Mistakes) -> None:
    """Note each host whose address, port and jump hosts are another's.

    Args:
        hosts: The section, for the places of the names.
        resolved: Each host's values.
        mistakes: Takes them.
    """
    seen: dict[Way, str] = {}
    for name, tree in resolved.items():
        first = seen.setdefault(way_of(tree), name)
        if first != name:
            mistakes.add(
                _place(hosts, name, tree),
                f"the host {quoted(name)} at the address of {quoted(first)}",
                "another machine under each name: another address, or else another port",
                also=_place(hosts, first, resolved[first]),
            )


def way_of(tree: Fields) -> Way:
    """The way to a host, in one spelling; what ``~/.ssh/config`` says is not known here."""
    connect = tree.get("connect")
    port, jump = connect.leaf("port"), connect.leaf("jump")
    address = tree.leaf("address")
    assert address is not None
    hops = str(jump.value).split(",") if jump else []
    number = port.value if port else _PORT
    assert isinstance(number, int)
    return spelled(str(address.value)), number, tuple(_hop(hop) for hop in hops)


def spelled(address: str) -> str:
    """An address in one spelling: case, a closing dot, the forms of IPv4 and IPv6."""
    text = address.lower().rstrip(".")
    if _NUMBERS.fullmatch(text):
        with contextlib.suppress(OSError):
            return str(ipaddress.IPv4Address(socket.inet_aton(text)))
    try:
        found = ipaddress.IPv6Address(text)
    except ValueError:
        return text
    return str(found.ipv4_mapped or found)


def _hop(text: str) -> tuple[str, int]:
    found = _HOP.fullmatch(text)
    assert found is not None
    return spelled(found["v6"] or found["name"] or ""), int(found["port"] or _PORT)


def _place(hosts: Fields, name: str, tree: Fields) -> Place:
    address = tree.leaf("address")
    place = address.origin.place if address else None
    return place or hosts.keys[name]
