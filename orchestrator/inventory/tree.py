"""Settings that know where they came from, and how layers of them are laid over each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from orchestrator.inventory.mistake import Place


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from.

    Attributes:
        place: ``None`` for what is built in.
        layer: Such as ``host p620``, ``template laptop``, ``defaults`` or ``built-in``.
    """

    place: Place | None
    layer: str

    def __str__(self) -> str:
        if self.place is None:
            return self.layer
        line = f":{self.place.line}" if self.place.line else ""
        return f"{Place(self.place.file)}{line} ({self.layer})"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A single value."""

    value: object
    origin: Origin


@dataclass(frozen=True, slots=True)
class Items:
    """A list, each item with its own origin."""

    items: tuple[Leaf, ...]


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping. ``keys`` has every key that was written, even where its value is a mistake."""

    entries: dict[str, Tree] = field(default_factory=dict)
    keys: dict[str, Place] = field(default_factory=dict)

    def get(self, key: str) -> Fields:
        """The mapping below ``key``; an empty one where there is none."""
        found = self.entries.get(key)
        return found if isinstance(found, Fields) else Fields()

    def texts(self, key: str) -> tuple[str, ...]:
        """The texts in the list below ``key``."""
        found = self.entries.get(key)
        return tuple(str(i.value) for i in found.items) if isinstance(found, Items) else ()

    def leaf(self, key: str) -> Leaf | None:
        """The single value below ``key``."""
        found = self.entries.get(key)
        return found if isinstance(found, Leaf) else None


Tree = Leaf | Items | Fields


@dataclass(frozen=True, slots=True)
class Resolved:
    """A resolved value; each item of a list is one, under the list's key.

    Attributes:
        key: Dotted, such as ``connect.port``.
    """

    key: str
    value: object
    origin: Origin

    def as_json(self) -> dict[str, object]:
        """The value for a program; no file and line where it is built in or found by name."""
        place = self.origin.place
        return {
            "key": self.key,
            "value": self.value,
            "file": place.file if place else None,
            "line": (place.line or None) if place else None,
            "layer": self.origin.layer,
        }


def overlay(below: Tree | None, above: Tree) -> Tree:
    """Lay one layer over another: mappings merge, lists accumulate, single values override."""
    if isinstance(below, Fields) and isinstance(above, Fields):
        entries = dict(below.entries)
        for key, tree in above.entries.items():
            entries[key] = overlay(entries.get(key), tree)
        return Fields(entries)
    if isinstance(below, Items) and isinstance(above, Items):
        return Items(_without_repeats(below.items + above.items))
    return Items(_without_repeats(above.items)) if isinstance(above, Items) else above


def _without_repeats(leaves: tuple[Leaf, ...]) -> tuple[Leaf, ...]:
    kept: dict[str, Leaf] = {}
    for leaf in leaves:
        # repr tells 1, 1.0 and True apart, and takes what cannot be hashed.
        kept.setdefault(leaf.value if isinstance(leaf.value, str) else repr(leaf.value), leaf)
    return tuple(kept.values())


def plain(tree: Tree) -> Any:
    """The values alone: dictionaries, tuples and scalars."""
    match tree:
        case Leaf(value=value):
            return value
        case Items(items=items):
            return tuple(item.value for item in items)
        case Fields(entries=entries):
            return {key: plain(below) for key, below in entries.items()}


def flatten(tree: Tree, key: str = "") -> Iterator[Resolved]:
    """Every value below ``tree`` with its dotted key."""
    match tree:
        case Leaf(value=value, origin=origin):
            yield Resolved(key, value, origin)
        case Items(items=items):
            for item in items:
                yield Resolved(key, item.value, item.origin)
        case Fields(entries=entries):
            for name, below in entries.items():
                yield from flatten(below, f"{key}.{name}" if key else name)
