"""Names that refer to something: hosts, templates, suites, addresses."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.inventory.kinds import Reading, Reference
from orchestrator.inventory.root import SUITES, own_suites, shared_suites
from orchestrator.inventory.tree import (
    Fields,
    Items,
    Leaf,
    Mistakes,
    Origin,
    Position,
    one_of,
    quoted,
)

# What kinds.Reference calls a suite: no section declares one, the disk does.
SECTION = "suites"
_LAYER = "convention"


@dataclass(frozen=True, slots=True)
class Suites:
    """The suites that exist on disk, relative to the fleet's root.

    Attributes:
        shared: Paths below ``tests/verify``.
        own: By host, those in ``hosts/NAME/``.
    """

    shared: frozenset[str]
    own: dict[str, tuple[str, ...]]

    @classmethod
    def find(cls, root: Path) -> Suites:
        """Look once which suites there are."""
        return cls(frozenset(shared_suites(root)), own_suites(root))

    def layer(
        self,
        own: Iterable[str],
        templates: Iterable[str],
        profiles: Iterable[str],
        features: Iterable[str],
    ) -> Fields:
        """The suites of a host as a layer, from what every host has to what is its own."""
        names = [
            "test_every_host",
            *(f"templates/test_{name}" for name in templates),
            *(f"profiles/test_{name}" for name in profiles),
            *(f"features/test_{name}" for name in features),
        ]
        paths = [f"{SUITES}/{name.replace('-', '_').replace('.', '_')}.py" for name in names]
        found = [path for path in paths if path in self.shared] + [*own]
        return Fields({"verify": Fields({"suites": by_convention(found)})}) if found else Fields()


def by_convention(suites: Iterable[str]) -> Items:
    """Suites that verify a host because of where they are."""
    return Items(tuple(Leaf(path, Origin(Position(path), _LAYER)) for path in suites))


def check_suites(root: Path, reading: Reading) -> None:
    """Note suites that are named and do not exist."""
    named = [reference for reference in reading.references if reference.section == SECTION]
    missing = [reference for reference in named if not (root / reference.name).exists()]
    there = Suites.find(root).shared if missing else frozenset()
    for reference in missing:
        found = f"the suite {quoted(reference.name)}, which does not exist"
        expected = "a file or folder, relative to the fleet's root"
        reading.mistakes.add(reference.place, found, expected, meant=(reference.name, there))


_PORT = 22
# What inet_aton(3) takes for an IPv4 address, as ssh does: 10.0.0.1, 10.1, 0x0a000001.
_NUMBERS = re.compile(r"(?:0x[0-9a-f]+|[0-9]+)(?:\.(?:0x[0-9a-f]+|[0-9]+)){0,3}")
_HOP = re.compile(r"(?:[^@]*@)?(?:\[(?P<v6>[^\]]*)\]|(?P<name>[^:]*))(?::(?P<port>[0-9]+))?")

Way = tuple[str, int, tuple[tuple[str, int], ...]]
"""An address, a port, and the jump hosts before it."""


def address_twice(
    name: str, place: Position, first: tuple[str, Position], mistakes: Mistakes
) -> None:
    """Note a host whose address, port and jump hosts are another's."""
    other, there = first
    mistakes.add(
        place,
        f"the host {quoted(name)} at the address of {quoted(other)}",
        "another machine under each name: another address, or else another port",
        also=there,
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
    if ":" not in text:
        return text
    try:
        found = ipaddress.IPv6Address(text)
    except ValueError:
        return text
    return str(found.ipv4_mapped or found)


def misread(address: str) -> bool:
    """Whether numbers are another IPv4 address than they look like, or none: 10.0.0.010 is .8."""
    if not _NUMBERS.fullmatch(address):
        return False
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        return True
    return False


def _hop(text: str) -> tuple[str, int]:
    found = _HOP.fullmatch(text)
    assert found is not None
    return spelled(found["v6"] or found["name"] or ""), int(found["port"] or _PORT)


# A longer chain is no inheritance that anyone could follow.
MAX_CHAIN = 16


ONE_HOST = "a host with an entry of its own"


def check_references(
    sections: Fields, reading: Reading, class_of: Callable[[str], str | None]
) -> None:
    """Note names that no section declares; of members of a class, that they are these."""
    for reference in reading.references:
        if reference.section == SECTION:
            continue
        declared = sections.get(reference.section).keys
        if not reference.name:
            _check_only(reference, declared, reading.mistakes)
        elif reference.name in declared:
            continue
        elif reference.section == "hosts" and (of := class_of(reference.name)) is not None:
            found = f"{quoted(reference.name)}, which is one of the class {quoted(of)}"
            reading.mistakes.add(reference.place, found, ONE_HOST)
        else:
            what = reference.section.removesuffix("s")
            reading.mistakes.add(
                reference.place,
                f"the unknown {what} {quoted(reference.name)}",
                one_of(declared, f"one declared under {reference.section}, where there is none"),
                meant=(reference.name, declared),
            )


def _check_only(reference: Reference, declared: Iterable[str], mistakes: Mistakes) -> None:
    """Note a ``true`` that does not say which one is meant."""
    names = list(declared)
    if not names:
        expected = f"one declared under {reference.section}, where there is none"
        mistakes.add(reference.place, "true", expected)
    elif len(names) > 1:
        found = f"true, where there are {len(names)} {reference.section}"
        mistakes.add(reference.place, found, one_of(names))


def check_extends(sections: Fields, mistakes: Mistakes) -> None:
    """Note each cycle of ``extends`` once, and chains that are too long."""
    for section in ("templates", "profiles", "tiers"):
        entries = sections.get(section).entries
        parents = {n: t.leaf("extends") for n, t in entries.items() if isinstance(t, Fields)}
        told: set[str] = set()
        for name in parents:
            _walk_up(name, parents, told, mistakes)


def _walk_up(
    name: str, parents: Mapping[str, Leaf | None], told: set[str], mistakes: Mistakes
) -> None:
    way: dict[str, Leaf] = {}
    while name not in told and (parent := parents.get(name)) is not None:
        if name in way:
            names = list(way)[list(way).index(name) :]
            told.update(names)
            found = f"a cycle: {' → '.join(quoted(n) for n in [*names, name])}"
            _note(way[name], found, "an end to what extends what", mistakes)
            return
        way[name] = parent
        if len(way) > MAX_CHAIN:
            told.add(name)
            _note(parent, f"a chain of more than {MAX_CHAIN}", "less inheritance", mistakes)
            return
        name = str(parent.value)


def _note(leaf: Leaf, found: str, expected: str, mistakes: Mistakes) -> None:
    assert leaf.origin.place is not None
    mistakes.add(leaf.origin.place, found, expected)
