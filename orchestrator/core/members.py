"""Many equal machines: what they share is said once, and each is a host of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from orchestrator.core.host import Host
from orchestrator.core.values import replace


class Member(Struct, frozen=True):
    """What one of many equal machines has of its own; nothing of it is part of its system.

    Attributes:
        name: Its name, as any host's.
        address: Where it answers.
        port: As :class:`Connect` has it; what is ``None`` is the class's. So are those below.
        machine_id: The content of its ``/etc/machine-id``.
        tags: Beside those of the class: for selectors.
        suites: Beside those of the class: what verifies it alone.
        line: Where it is said, in the file that its class is read from; 0: in none.
    """

    name: str
    address: str
    port: int | None = None
    user: str | None = None
    jump: str | None = None
    identity: str | None = None
    machine_id: str | None = None
    tags: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    line: int = 0

    def of(self, shared: Host) -> Host:
        """The member as a host of its own.

        Args:
            shared: What all members of its class have; its name is the class's.
        """
        given = {
            key: value
            for key in ("port", "user", "jump", "identity")
            if (value := getattr(self, key)) is not None
        }
        verify = shared.verify
        if self.suites:
            verify = replace(verify, suites=_together(verify.suites, self.suites))
        return replace(
            shared,
            name=self.name,
            of=shared.name,
            connect=replace(shared.connect, address=self.address, **given),
            machine_id=self.machine_id,
            tags=_together(shared.tags, self.tags),
            verify=verify,
        )


class Single(Struct, frozen=True, array_like=True):
    """What one machine of a fleet has of its own, beside others that are alike in all else.

    As :class:`Host` and :class:`Connect` have it. A thousand hosts that are written out one by one
    have few ways of connecting, deadlines and so on: those are kept once.
    """

    name: str
    attr: str
    address: str
    port: int | None
    machine_id: str | None
    tags: tuple[str, ...]
    hardware: dict[str, Any]

    @classmethod
    def apart(cls, host: Host) -> tuple[Single, Host]:
        """Take a host apart: into what is its own, and what it may share with others."""
        connect = host.connect
        own = cls(
            host.name,
            host.attr,
            connect.address,
            connect.port,
            host.machine_id,
            host.tags,
            dict(host.hardware),
        )
        return own, cls("", "", "", None, None, (), {}).of(host)

    def of(self, shared: Host) -> Host:
        """Put the host together again.

        Args:
            shared: What :meth:`apart` gave beside this.
        """
        names = ("name", "attr", "machine_id", "tags", "hardware")
        return like(shared, {key: getattr(self, key) for key in names}, self.address, self.port)


def like(shared: Host, own: Mapping[str, Any], address: str, port: int | None) -> Host:
    """A host that is like another one in all but some things.

    Args:
        shared: The other one.
        own: What it has in the place of the other's, by the names of the fields.
        address: As :class:`Connect` has it; so is ``port``.
        port: See there.
    """
    return replace(shared, connect=replace(shared.connect, address=address, port=port), **own)


def _together(shared: tuple[str, ...], own: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(shared + own)) if own else shared


class HostEntry(Struct, frozen=True):
    """An entry under ``hosts``: a host, or a class of them.

    Attributes:
        host: The host; of a class, what all of its members have.
        members: Of a class; ``None`` where it is one host.
    """

    host: Host
    members: tuple[Member, ...] | None = None


class Hosts(Mapping[str, Host]):
    """A fleet's hosts by name, in the inventory's order; each is made when it is asked for.

    Args:
        entries: Their names are unique, as are those of all members. A host that is kept apart
            comes with what it shares with others.
    """

    def __init__(self, entries: Iterable[HostEntry | tuple[Host, Single]]) -> None:
        self._given = tuple(entries)
        self._entries: tuple[HostEntry, ...] | None = None
        self._places: dict[str, tuple[Host, Member | Single | None]] = {}
        self._made: dict[str, Host] = {}
        for entry in self._given:
            if isinstance(entry, tuple):
                self._places[entry[1].name] = entry
            elif entry.members is None:
                self._places[entry.host.name] = entry.host, None
            else:
                self._places |= {member.name: (entry.host, member) for member in entry.members}

    @property
    def entries(self) -> tuple[HostEntry, ...]:
        """What the inventory lists, each class once."""
        if self._entries is None:
            self._entries = tuple(
                HostEntry(self[one[1].name]) if isinstance(one, tuple) else one
                for one in self._given
            )
        return self._entries

    @property
    def classes(self) -> dict[str, HostEntry]:
        """The classes, by name."""
        listed = (one for one in self._given if isinstance(one, HostEntry))
        return {one.host.name: one for one in listed if one.members is not None}

    def __getitem__(self, name: str) -> Host:
        shared, own = self._places[name]
        if own is None:
            return shared
        if (made := self._made.get(name)) is None:
            made = self._made[name] = own.of(shared)
        return made

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return f"Hosts({self.entries!r})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Hosts):
            return self.entries == other.entries
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]

    def member(self, name: str) -> Member | None:
        """What a host has of its own as one of a class; ``None`` where it is none of any."""
        _, own = self._places.get(name, (None, None))
        return own if isinstance(own, Member) else None

    def of_class(self, name: str) -> Sequence[str]:
        """The names of a class's members; none where there is no such class."""
        found = self.classes.get(name)
        return tuple(member.name for member in (found.members if found else None) or ())


def entries_of(hosts: Mapping[str, Host]) -> tuple[HostEntry, ...]:
    """Hosts as the inventory lists them, each class once."""
    if isinstance(hosts, Hosts):
        return hosts.entries
    return tuple(HostEntry(host) for host in hosts.values())


def as_machines(hosts: Mapping[str, Host], machine_ids: Mapping[str, str]) -> Hosts:
    """The same hosts as other machines.

    Args:
        hosts: The hosts.
        machine_ids: By name; a host that is not there is no known machine.
    """
    return Hosts(
        HostEntry(
            replace(entry.host, machine_id=machine_ids.get(entry.host.name)),
            None if entry.members is None else _as_machines(entry.members, machine_ids),
        )
        for entry in entries_of(hosts)
    )


def _as_machines(members: Iterable[Member], machine_ids: Mapping[str, str]) -> tuple[Member, ...]:
    return tuple(
        one
        if one.machine_id == (found := machine_ids.get(one.name))
        else replace(one, machine_id=found)
        for one in members
    )
