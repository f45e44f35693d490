"""Classes of equal machines: an entry under ``hosts`` that stands for many of them."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.core import beneath
from orchestrator.core.host import Host
from orchestrator.core.members import HostEntry, Hosts, Member
from orchestrator.core.units import size_text
from orchestrator.core.values import replace
from orchestrator.inventory.class_keys import MOST_IN_ALL
from orchestrator.inventory.declaration import ADDRESS, HOST_NAME
from orchestrator.inventory.kinds import Reading
from orchestrator.inventory.references import (
    ONE_HOST,
    Suites,
    Way,
    address_twice,
    by_convention,
    misread,
    spelled,
    way_of,
)
from orchestrator.inventory.root import FOLDER, GENERATED, MAX_BYTES
from orchestrator.inventory.rows import Rows
from orchestrator.inventory.sections import decoded
from orchestrator.inventory.tree import (
    Fields,
    Items,
    Leaf,
    Mistakes,
    Origin,
    Position,
    Tree,
    overlay,
    quoted,
)

_ONLY_OF_CLASSES = ("first", "name")


def is_class(entry: Fields) -> bool:
    """Whether an entry under ``hosts`` stands for many machines."""
    return "count" in entry.keys or "from" in entry.keys


def generated_file(name: str) -> str:
    """What a class's command said is kept in, relative to the fleet's root."""
    return f"{FOLDER}/{GENERATED}/{name}.json"


@dataclass(frozen=True, slots=True)
class Class:
    """One class of an inventory.

    Attributes:
        place: Where its entry is.
        file: Where its members are listed, relative to the fleet's root; empty where counted.
        addresses: Where their addresses are said, if they are counted.
    """

    name: str
    place: Position
    members: tuple[Member, ...]
    file: str = ""
    addresses: Position | None = None

    def position(self, member: Member) -> Position:
        """Where a member's address is said."""
        if self.file:
            return Position(self.file, member.line)
        return self.addresses or self.place

    def resolved(self, member: Member, shared: Fields) -> Fields:
        """All that holds for a member, each value with its origin.

        Args:
            member: The member.
            shared: The same of its class.
        """
        origin = Origin(self.position(member), f"host {member.name}")

        def items(values: tuple[str, ...]) -> Items:
            return Items(tuple(Leaf(value, origin) for value in values))

        ways = ("port", "user", "jump", "identity")
        connect: dict[str, Tree] = {
            key: Leaf(value, origin) for key in ways if (value := getattr(member, key)) is not None
        }
        own: dict[str, Tree] = {"address": Leaf(member.address, origin)}
        own |= {"connect": Fields(connect)} if connect else {}
        own |= {"tags": items(member.tags)} if member.tags else {}
        own |= {"machine_id": Leaf(member.machine_id, origin)} if member.machine_id else {}
        if member.suites:
            own["verify"] = Fields({"suites": by_convention(member.suites)})
        kept = {
            k: t for k, t in shared.entries.items() if k not in ("count", "from", "first", "name")
        }
        both = overlay(Fields(kept), Fields(own))
        assert isinstance(both, Fields)
        return both


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of an inventory, by name."""

    by_name: Mapping[str, Class] = field(default_factory=dict)

    @classmethod
    def read(cls, root: Path, hosts: Fields, mistakes: Mistakes) -> Classes:
        """Read who the members are; what is wrong is noted.

        Args:
            root: The fleet's root.
            hosts: The section.
            mistakes: Takes what is wrong.
        """
        reader = _Reader(root, hosts, mistakes)
        by_name: dict[str, Class] = {}
        left = MOST_IN_ALL
        for name, place in hosts.keys.items():
            if (one := reader.read(name, hosts.get(name))) is not None:
                by_name[name] = one
                left -= len(one.members)
            if left < 0:
                expected = "at most that many in all"
                mistakes.add(place, f"more than {MOST_IN_ALL} members of classes", expected)
                break
        _check_names(hosts, by_name, mistakes)
        return cls(by_name)

    def names(self, hosts: Fields) -> list[str]:
        """The names of all hosts: those of one machine, and each member's."""
        single = (name for name in hosts.keys if name not in self.by_name)
        return [*single, *(member.name for one in self.by_name.values() for member in one.members)]

    def class_of(self, name: str) -> str | None:
        """The class that a host is a member of; ``None`` where it is of none."""
        of = (it for it, one in self.by_name.items() if any(m.name == name for m in one.members))
        return next(of, None)

    def check(self, hosts: Fields, resolved: Mapping[str, Fields], reading: Reading) -> None:
        """Note members at one address with another host, and what else only one host can be.

        Args:
            hosts: The section.
            resolved: What holds for each entry.
            reading: What was read; takes what is wrong.
        """
        mistakes = reading.mistakes
        seen: dict[Way, tuple[str, Position]] = {}
        for name, place, way in self._ways(hosts, resolved):
            first = seen.setdefault(way, (name, place))
            if first[0] != name:
                address_twice(name, place, first, mistakes)
        self._check_attributes(hosts, resolved, mistakes)
        for named in reading.references:
            if named.section == "hosts" and named.name in self.by_name:
                found = f"{quoted(named.name)}, which is a class of hosts"
                mistakes.add(named.place, found, ONE_HOST)

    def _ways(
        self, hosts: Fields, resolved: Mapping[str, Fields]
    ) -> Iterator[tuple[str, Position, Way]]:
        for name, tree in resolved.items():
            if (one := self.by_name.get(name)) is None:
                address = tree.leaf("address")
                place = address.origin.place if address else None
                yield name, place or hosts.keys[name], way_of(tree)
                continue
            _, port, jump = way_of(tree)
            for member in one.members:
                place = one.position(member)
                if member.jump is None:
                    yield member.name, place, (spelled(member.address), member.port or port, jump)
                else:
                    yield member.name, place, way_of(one.resolved(member, tree))

    def _check_attributes(
        self, hosts: Fields, resolved: Mapping[str, Fields], mistakes: Mistakes
    ) -> None:
        """Note each attribute of a class that another entry names too: its system has no name."""
        seen: dict[tuple[object, object], str] = {}
        for name, tree in sorted(resolved.items(), key=lambda one: one[0] not in self.by_name):
            flake, attr = tree.leaf("flake"), tree.leaf("attr")
            assert attr is not None
            first = seen.setdefault((flake.value if flake else None, attr.value), name)
            if first != name and first in self.by_name:
                found = f"{quoted(name)} has the attribute {quoted(str(attr.value))} of a class"
                place = attr.origin.place or hosts.keys[name]
                expected = "an `attr:` of its own: the members' system has no host's name"
                mistakes.add(place, found, expected, also=hosts.keys[first])

    def joined(self, hosts: Mapping[str, Host], suites: Suites) -> Hosts:
        """All hosts: each class's members in its place.

        Args:
            hosts: The entries as hosts, in their order.
            suites: What verifies members alone is found there.
        """
        return Hosts(
            HostEntry(host, _with_suites(self.by_name[name].members, suites))
            if name in self.by_name
            else HostEntry(host)
            for name, host in hosts.items()
        )


def _with_suites(members: tuple[Member, ...], suites: Suites) -> tuple[Member, ...]:
    if not any(suites.own.values()):
        return members
    return tuple(
        replace(member, suites=own) if (own := suites.own.get(member.name)) else member
        for member in members
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    root: Path
    hosts: Fields
    mistakes: Mistakes

    def read(self, name: str, entry: Fields) -> Class | None:
        if not is_class(entry):
            self._check_single(entry)
            return None
        if "machine_id" in entry.keys:
            place = entry.keys["machine_id"]
            self.mistakes.add(
                place, "one machine-id for many machines", "it in a column of `from:`"
            )
        if "from" not in entry.keys:
            return self._counted(name, entry)
        for key in ("count", "first", "name", "address"):
            if key in entry.keys:
                found = f"{quoted(key)} beside 'from'"
                expected = "one of them: what lists members says how each is called and reached"
                self.mistakes.add(entry.keys[key], found, expected)
        return self._listed(name, entry)

    def _check_single(self, entry: Fields) -> None:
        for key in _ONLY_OF_CLASSES:
            if key in entry.keys:
                found = f"{quoted(key)} without 'count'"
                self.mistakes.add(entry.keys[key], found, "`count:`, where it is a class of hosts")
        address = entry.leaf("address")
        if address is not None and "{n" in str(address.value):
            self._wrong(
                address, f"the address {quoted(str(address.value))} of one host", ADDRESS.expected
            )

    def _wrong(self, leaf: Leaf, found: str, expected: str) -> None:
        assert leaf.origin.place is not None
        self.mistakes.add(leaf.origin.place, found, expected)

    def _counted(self, name: str, entry: Fields) -> Class:
        count, first = entry.leaf("count"), entry.leaf("first")
        called, address = entry.leaf("name"), entry.leaf("address")
        place = self.hosts.keys[name]
        if address is not None and "{n" not in str(address.value):
            found = f"the address {quoted(str(address.value))} of many machines"
            self._wrong(address, found, "one with their number in it, such as kiosk-{n}.example")
            address = None
        number = first.value if first else 1
        assert isinstance(number, int)
        # What is wrong with it is noted already.
        many = count.value if count and isinstance(count.value, int) else 0
        names = str(called.value) if called else name + "-{n}"
        addresses = str(address.value) if address else names
        self._check_longest(names, addresses, number + many - 1, called, address, place)
        members = tuple(
            Member(names.format(n=n), addresses.format(n=n)) for n in range(number, number + many)
        )
        if address is not None and (odd := next(filter(misread, _addresses(members)), None)):
            expected = "four numbers up to 255 without zeros before them, or a host name"
            self._wrong(address, f"the member's address {quoted(odd)}", expected)
        said = address or count
        return Class(name, place, members, addresses=said.origin.place if said else None)

    def _check_longest(
        self,
        names: str,
        addresses: str,
        last: int,
        called: Leaf | None,
        address: Leaf | None,
        place: Position,
    ) -> None:
        """Numbers alone differ: where the last one's name and address are right, so are all."""
        name, reached = names.format(n=last), addresses.format(n=last)
        if (expected := HOST_NAME.problem(name)) is not None:
            at = called.origin.place if called else None
            self.mistakes.add(at or place, f"the member's name {quoted(name)}", expected)
        elif (expected := ADDRESS.problem(reached)) is not None:
            at = address.origin.place if address else None
            self.mistakes.add(at or place, f"the member's address {quoted(reached)}", expected)

    def _listed(self, name: str, entry: Fields) -> Class:
        place = self.hosts.keys[name]
        listed = entry.leaf("from")
        file = f"{FOLDER}/{listed.value}" if listed else generated_file(name)
        if listed is None and not entry.get("from").texts("command"):
            if "command" in entry.get("from").entries:
                self.mistakes.add(entry.keys["from"], "an empty command", "a program's words")
            return Class(name, place, (), file)  # what else is wrong with it is noted already
        at = listed.origin.place if listed else entry.keys["from"]
        text = self._text(file, at or place, commanded=listed is None)
        if text is None:
            return Class(name, place, (), file)
        before = len(self.mistakes.kept)
        members = Rows(file, self.mistakes).read(text)
        if not members and before == len(self.mistakes.kept):
            self.mistakes.add(Position(file), "no member", "at least one line below the header")
        return Class(name, place, members, file)

    def _text(self, file: str, place: Position, *, commanded: bool) -> str | None:
        try:
            content = beneath.read(self.root, file, MAX_BYTES)
        except OSError as error:
            found, expected = f"{file}: {error.strerror or 'unreadable'}", "a readable regular file"
            if commanded and isinstance(error, FileNotFoundError):
                found = f"{file} is not there: the command was never run"
                expected = "it; run: orchestrator inventory generate"
            elif error.errno == errno.EFBIG:
                expected = f"at most {size_text(MAX_BYTES)}"
            self.mistakes.add(place, found, expected)
            return None
        return decoded(content, file, self.mistakes)


def _addresses(members: tuple[Member, ...]) -> Iterator[str]:
    return (member.address for member in members)


def _check_names(hosts: Fields, classes: Mapping[str, Class], mistakes: Mistakes) -> None:
    """Note each member whose name is another member's, a host's or a class's."""
    seen = dict(hosts.keys)
    for one in classes.values():
        for member in one.members:
            place = Position(one.file, member.line) if one.file else one.place
            first = seen.setdefault(member.name, place)
            if first is not place:
                found = f"the host {quoted(member.name)} a second time"
                mistakes.add(place, found, "each name once, over all classes", also=first)
