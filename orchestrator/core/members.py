"""Many equal machines: what they share is said once, and each is a host of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

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
    """A fleet's hosts by name, in the inventory's order; a member is made when it is asked for.

    Args:
        entries: Their names are unique, as are those of all members.
    """

    def __init__(self, entries: Iterable[HostEntry]) -> None:
        self.entries = tuple(entries)
        self._places: dict[str, tuple[Host, Member | None]] = {}
        for entry in self.entries:
            if entry.members is None:
                self._places[entry.host.name] = entry.host, None
            else:
                self._places |= {member.name: (entry.host, member) for member in entry.members}
        self._made: dict[str, Host] = {}

    @property
    def classes(self) -> dict[str, HostEntry]:
        """The classes, by name."""
        return {e.host.name: e for e in self.entries if e.members is not None}

    def __getitem__(self, name: str) -> Host:
        shared, member = self._places[name]
        if member is None:
            return shared
        if (made := self._made.get(name)) is None:
            made = self._made[name] = member.of(shared)
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
        _, member = self._places.get(name, (None, None))
        return member

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
