"""Sockets that listen, held against the units that are declared, and what the firewall lets in."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestrator.risk.model import Firewall, Opened
from orchestrator.security.model import Base, Declared, Finding, Kind, Severity
from orchestrator.security.plan.answer import Seen, Socket
from orchestrator.security.plan.owners import Owner, Whose, has, number, of_unit, pids_text, whose

_ADVICE = "see what it is: systemctl status {}; if it is meant, declare its unit"


def sockets(seen: Seen, base: Base, declared: Declared) -> Iterator[Finding]:
    """Give each socket whose owner nobody declared; of equal ones one."""
    told = set()
    for socket in seen.sockets:
        pids = seen.owners.get(socket.inode, ())
        if not pids:
            continue  # The kernel's own, such as WireGuard's and NFS's; or root did not look.
        owner = _owner(seen, base, declared, socket, pids)
        severity = _severity(seen, base, declared, socket, owner, pids)
        subject = _subject(seen, socket, pids)
        if severity is None or subject in told:
            continue
        told.add(subject)
        yield Finding(
            Kind.SOCKET,
            subject,
            "no unit that listens there",
            f"{pids_text(pids)} of {owner.text}: {_exe(seen, pids[0])}{_reach(declared, socket)}",
            severity,
            _ADVICE.format(owner.unit or pids[0]),
        )


def _owner(
    seen: Seen, base: Base, declared: Declared, socket: Socket, pids: tuple[int, ...]
) -> Whose:
    """Whose it is: of those that share it, whoever is declared; of systemd's, the socket unit's."""
    if 1 in pids:
        pattern = re.compile(rf"[:\]]{socket.port} |(?:^| ){socket.port} ")
        for unit in seen.units.values():
            if unit.name.endswith(".socket") and pattern.search(unit.listens + " "):
                return of_unit(seen, base, unit.name)
        return Whose(Owner.UNIT, "init.scope")
    found = [whose(seen, base, declared, pid) for pid in pids]
    return min(found, key=lambda one: list(Owner).index(one.owner))


def _severity(
    seen: Seen,
    base: Base,
    declared: Declared,
    socket: Socket,
    owner: Whose,
    pids: tuple[int, ...],
) -> Severity | None:
    if owner.owner is Owner.UNIT:
        return None
    calm = owner.owner in (Owner.PERSON, Owner.CONTAINER)
    if socket.kind == "packet" or socket.protocol == "raw":
        return Severity.NOTE if calm else Severity.MODERATE
    if socket.protocol == "udp" and (calm or _passes(seen, socket.port)):
        return Severity.NOTE
    if socket.is_local:
        return Severity.NOTE if calm else Severity.LOW
    if not is_open(declared.firewall, socket.protocol, socket.port):
        return Severity.NOTE if calm else Severity.MODERATE
    if not calm:
        return Severity.HIGH
    if owner.owner is Owner.CONTAINER:
        return Severity.NOTE
    if declared.firewall is None or not declared.firewall.enable:
        return Severity.MODERATE
    # The port is declared: for a program such as this one.
    return Severity.NOTE if all(_is_own(seen, base, pid) for pid in pids) else Severity.LOW


def _is_own(seen: Seen, base: Base, pid: int) -> bool:
    process = seen.processes.get(pid)
    return process is not None and has(seen, base, process.exe)


def _passes(seen: Seen, port: int) -> bool:
    """Whether a port is one that the kernel gives to whoever asks for any."""
    words = next(iter(seen.pairs("ports")), ("", ""))
    low, high = map(number, words)
    return low <= port <= high if low >= 0 and high >= 0 else port >= 32768


def is_open(firewall: Firewall | None, protocol: str, port: int) -> bool:
    """Whether a port is let in from anywhere; where that is not known, yes."""
    if firewall is None or not firewall.enable:
        return True
    return any(
        _opens(opened, protocol, port)
        for opened in (firewall.everybody, *firewall.interfaces.values())
    )


def _opens(opened: Opened, protocol: str, port: int) -> bool:
    ports = opened.tcp if protocol == "tcp" else opened.udp
    ranges = opened.tcp_ranges if protocol == "tcp" else opened.udp_ranges
    return port in ports or any(first <= port <= last for first, last in ranges)


def _reach(declared: Declared, socket: Socket) -> str:
    if socket.kind == "packet":
        return ", which reads what passes an interface"
    if socket.is_local:
        return ", for this machine alone"
    if declared.firewall is None:
        return ""
    opens = is_open(declared.firewall, socket.protocol, socket.port)
    return ", let in by the firewall" if opens else ", not let in by the firewall"


def _subject(seen: Seen, socket: Socket, pids: tuple[int, ...]) -> str:
    if socket.kind == "packet" or socket.protocol == "raw":
        return f"{socket.protocol}/{_exe(seen, pids[0])}"
    at = "" if socket.is_everywhere else f"{socket.address}:"
    return f"{socket.protocol}/{at}{socket.port}"


def _exe(seen: Seen, pid: int) -> str:
    process = seen.processes.get(pid)
    return process.exe if process else "an executable that could not be read"
