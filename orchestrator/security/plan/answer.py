"""An answer to ``question.py``, taken apart.

A host may say anything. A line that is not understood was not said; no text is longer than here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from orchestrator.core.units import split_lines, whole_number

T = TypeVar("T")
_LONGEST = 4096
"""Characters of one field."""

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Socket:
    """A socket that listens, or takes from anybody: proc_net(5). A packet socket has no port."""

    kind: str
    address: str
    port: int
    inode: int
    uid: int

    @classmethod
    def of(cls, row: Row) -> Socket:
        """Read a line of the kernel's table; its addresses are words of this machine's order."""
        kind, at, inode, uid = row[:4]
        address, _, port = at.partition(":")
        packed = bytes.fromhex(address.rjust(8, "0"))
        words = [packed[start : start + 4][::-1] for start in range(0, len(packed), 4)]
        return cls(
            kind, str(_address(b"".join(words))), int(port, 16), _number(inode), _number(uid)
        )

    @property
    def protocol(self) -> str:
        """``tcp``, ``udp``, ``raw`` or ``packet``."""
        return self.kind.removesuffix("6")

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return self.kind != "packet" and ipaddress.ip_address(self.address).is_loopback

    @property
    def is_everywhere(self) -> bool:
        """Whether it is bound to no address."""
        return ipaddress.ip_address(self.address).is_unspecified


def _address(packed: bytes) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    found = ipaddress.ip_address(packed)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


@dataclass(frozen=True, slots=True)
class Process:
    """A process: proc_pid(5). ``exe`` is what its link says, as the kernel says it."""

    pid: int
    uid: int
    exe: str

    @classmethod
    def of(cls, row: Row) -> Process:
        """Read its line."""
        return cls(_number(row[0]), _number(row[1]), row[2])


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit that systemd has loaded."""

    name: str
    fragment: str
    transient: bool
    active: str
    drop_ins: tuple[str, ...]
    listens: str

    @classmethod
    def of(cls, row: Row) -> Unit:
        """Read its line."""
        name, fragment, transient, active, drop_ins, listens = row[:6]
        return cls(name, fragment, transient == "yes", active, tuple(drop_ins.split()), listens)


@dataclass(frozen=True, slots=True)
class AddedFile:
    """A file below ``/etc`` that the system does not have; ``sum`` is empty for what is none."""

    name: str
    link: str
    owner: str
    mode: int
    sum: str

    @classmethod
    def of(cls, row: Row) -> AddedFile:
        """Read its line."""
        return cls(row[0], row[1], row[2], int(row[3], 8), row[4])


@dataclass(frozen=True, slots=True)
class Passwd:
    """An entry of passwd(5)."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str

    @classmethod
    def of(cls, row: Row) -> Passwd:
        """Read its line."""
        name, _, uid, gid, _, home, shell = row[0].split(":")
        return cls(name, _number(uid), _number(gid), home, shell)


@dataclass(frozen=True, slots=True)
class Group:
    """An entry of group(5)."""

    name: str
    gid: int
    members: tuple[str, ...]

    @classmethod
    def of(cls, row: Row) -> Group:
        """Read its line."""
        name, _, gid, members = row[0].split(":")
        return cls(name, _number(gid), tuple(filter(None, members.split(","))))


@dataclass(frozen=True, slots=True)
class KeyLine:
    """A line of authorized_keys(8) that has a key; ``owner`` is the file's."""

    file: str
    owner: int
    line: str

    @classmethod
    def of(cls, row: Row) -> KeyLine:
        """Read its line."""
        return cls(row[0], _number(row[1]), row[2])


@dataclass(frozen=True, slots=True)
class Marked:
    """A file with a mode that matters; owner and group as numbers or names."""

    mode: int
    owner: str
    group: str
    path: str

    @classmethod
    def of(cls, row: Row) -> Marked:
        """Read its line."""
        return cls(int(row[0], 8), row[1], row[2], row[3])


@dataclass(frozen=True, slots=True)
class Login:
    """How often an address was refused within a day, and how often it was let in."""

    source: str
    failed: int
    accepted: int

    @classmethod
    def of(cls, row: Row) -> Login:
        """Read its line."""
        return cls(row[0], _number(row[1]), _number(row[2]))


@dataclass(frozen=True, slots=True)
class Seen:
    """All that one host said.

    Attributes:
        rows: The lines of each kind that are not taken apart further.
        owners: Processes that have a socket, by its inode.
        inside: Processes that have another root, or other numbers, than the host's.
    """

    rows: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)
    sockets: tuple[Socket, ...] = ()
    owners: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    processes: Mapping[int, Process] = field(default_factory=dict)
    cgroups: Mapping[int, str] = field(default_factory=dict)
    inside: frozenset[int] = frozenset()
    units: Mapping[str, Unit] = field(default_factory=dict)
    added: tuple[AddedFile, ...] = ()
    passwd: Mapping[str, Passwd] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    keys: tuple[KeyLine, ...] = ()
    setuid: tuple[Marked, ...] = ()
    wrappers: tuple[Marked, ...] = ()
    logins: tuple[Login, ...] = ()

    def word(self, kind: str) -> str:
        """What was said once, such as ``machine-id``; empty where it was not."""
        rows = self.rows.get(kind, ())
        return rows[0][0] if rows and rows[0] else ""

    def texts(self, kind: str) -> frozenset[str]:
        """The first field of each line of a kind."""
        return frozenset(row[0] for row in self.rows.get(kind, ()) if row)

    def pairs(self, kind: str) -> tuple[tuple[str, str], ...]:
        """The first two fields of each line of a kind; lines with one only have none."""
        return tuple((row[0], row[1]) for row in self.rows.get(kind, ()) if len(row) > 1)

    @property
    def is_root(self) -> bool:
        """Whether root looked."""
        return self.word("root") == "yes"

    def name_of(self, uid: int) -> str:
        """The account with a number, or the number."""
        names = [one.name for one in self.passwd.values() if one.uid == uid]
        return names[0] if names else str(uid)


def parse(text: str) -> Seen:
    """Take an answer apart."""
    rows: dict[str, list[Row]] = {}
    for line in split_lines(text):
        kind, *fields = line.split("\t")
        rows.setdefault(kind, []).append(tuple(one[:_LONGEST] for one in fields))
    processes = _read(rows.get("exe", ()), Process.of)
    still = {row[0] for row in rows.get("still", ()) if row}
    return Seen(
        rows={kind: tuple(found) for kind, found in rows.items()},
        sockets=tuple(
            one for one in _read(rows.get("socket", ()), Socket.of) if str(one.inode) in still
        ),
        owners=_owners(rows.get("owner", ())),
        processes={one.pid: one for one in processes},
        cgroups={_number(row[0]): row[1] for row in rows.get("cgroup", ()) if _is_pair(row)},
        inside=frozenset(_number(row[0]) for row in rows.get("inside", ()) if _is_number(row)),
        units={one.name: one for one in _read(rows.get("unit", ()), Unit.of)},
        added=_read(rows.get("added", ()), AddedFile.of),
        passwd={one.name: one for one in reversed(_read(rows.get("passwd", ()), Passwd.of))},
        groups={one.name: one for one in reversed(_read(rows.get("group", ()), Group.of))},
        keys=_read(rows.get("key", ()), KeyLine.of),
        setuid=_read(rows.get("setuid", ()), Marked.of),
        wrappers=_read(rows.get("wrapper", ()), Marked.of),
        logins=_read(rows.get("login", ()), Login.of),
    )


def _number(text: str) -> int:
    """Read a number.

    Raises:
        ValueError: It is none, or larger than any here.
    """
    if (found := whole_number(text)) is None:
        raise ValueError("no number")
    return found


def _read(rows: Iterable[Row], of: Callable[[Row], T]) -> tuple[T, ...]:
    found = []
    for row in rows:
        try:
            found.append(of(row))
        except (ValueError, IndexError):
            continue
    return tuple(found)


def _owners(rows: Sequence[Row]) -> dict[int, tuple[int, ...]]:
    found: dict[int, tuple[int, ...]] = {}
    for row in rows:
        numbers = [whole_number(one) for one in row[:2]]
        if len(numbers) == 2 and numbers[0] is not None and numbers[1] is not None:
            found[numbers[0]] = (*found.get(numbers[0], ()), numbers[1])
    return found


def _is_number(row: Row) -> bool:
    return bool(row) and whole_number(row[0]) is not None


def _is_pair(row: Row) -> bool:
    return len(row) > 1 and _is_number(row)
