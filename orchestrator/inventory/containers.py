"""Kinds that hold others: lists, records of known keys, and entries by name."""

from __future__ import annotations

from collections.abc import Mapping as ByName
from dataclasses import dataclass, field

from orchestrator.inventory.compose import Mapping, Node, Scalar, Sequence
from orchestrator.inventory.kinds import JsonSchema, Kind, Reading, Text
from orchestrator.inventory.tree import Fields, Items, Leaf, Tree, one_of, quoted

MAX_ITEMS = 256
NAME_PATTERN = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?"


def reference(section: str, what: str = "", words: tuple[str, ...] = ()) -> Text:
    """A name that must be there; ``what`` is ``a user`` of ``users``, where nothing is said."""
    what = what or f"a {section[:-1]}"
    named = "".join(f"{word}, " for word in words) + ("or " if words else "")
    return Text(f"{named}{what}'s name", NAME_PATTERN, section=section, words=words)


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list; nothing at all is an empty one."""

    item: Kind

    def read(self, node: Node, reading: Reading) -> Tree | None:
        """Read each item."""
        if isinstance(node, Scalar) and node.value is None:
            return Items(())
        if not isinstance(node, Sequence):
            reading.wrong(node, "a list")
            return None
        if len(node.items) > MAX_ITEMS:
            reading.wrong(node, f"at most {MAX_ITEMS} items", f"a list of {len(node.items)} items")
            return None
        read = [self.item.read(item, reading) for item in node.items]
        return Items(tuple(leaf for leaf in read if isinstance(leaf, Leaf)))

    def schema(self) -> JsonSchema:
        """An array."""
        return {"type": ["array", "null"], "items": self.item.schema(), "maxItems": MAX_ITEMS}


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a record, what may stand below it, and what it is for."""

    name: str
    kind: Kind
    description: str


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with known keys, each optional; nothing at all is an empty one.

    Attributes:
        what: What it is, for messages: ``a host``.
        layer: The layer that begins here, where one does.
        required: Keys that must be there.
    """

    what: str
    keys: tuple[Key, ...]
    layer: str | None = None
    required: tuple[str, ...] = ()

    def read(self, node: Node, reading: Reading) -> Tree | None:
        """Read the value of each known key, and note the unknown and the missing ones."""
        if isinstance(node, Scalar) and node.value is None and not self.required:
            return Fields()
        if not isinstance(node, Mapping):
            reading.wrong(node, f"{self.what}: a mapping with {self._names()}")
            return None
        before = reading.layer
        reading.layer = self.layer or before
        kinds = {key.name: key.kind for key in self.keys}
        entries = {}
        for name, value in node.entries.items():
            if name not in kinds:
                found = f"the unknown key {quoted(name)} in {self.what}"
                reading.mistakes.add(node.keys[name], found, self._names(), meant=(name, kinds))
            elif (tree := kinds[name].read(value, reading)) is not None:
                entries[name] = tree
        for name in self.required:
            if name not in node.entries:
                reading.mistakes.add(node.place, f"{self.what} without {quoted(name)}", "it")
        reading.layer = before
        return Fields(entries, node.keys)

    def _names(self) -> str:
        return one_of(key.name for key in self.keys)

    def schema(self) -> JsonSchema:
        """An object that takes no other keys."""
        properties = {
            key.name: {"description": key.description} | key.kind.schema() for key in self.keys
        }
        closed: JsonSchema = {"properties": properties, "additionalProperties": False}
        if self.required:
            return {"type": "object", "required": list(self.required)} | closed
        return {"type": ["object", "null"]} | closed


@dataclass(frozen=True, slots=True)
class Pairs:
    """Single values by name: a mapping whose names are not known beforehand.

    Attributes:
        what: What a name is of, for messages: ``option of Nix's``.
        key: What a name looks like.
        value: What stands below it.
        names: Those that there are; empty where any of the form may be.
        refused: Names that somebody may well want, and why they cannot be had.
    """

    what: str
    key: Text
    value: Kind
    names: tuple[str, ...] = ()
    refused: ByName[str, str] = field(default_factory=dict, hash=False)

    def read(self, node: Node, reading: Reading) -> Tree | None:
        """Read each value."""
        if isinstance(node, Scalar) and node.value is None:
            return Fields()
        if not isinstance(node, Mapping):
            reading.wrong(node, f"a mapping from each {self.what} to its value")
            return None
        entries = {}
        for name, value in node.entries.items():
            if (expected := self.key.problem(name)) is not None:
                why = f", which {self.refused[name]}" if name in self.refused else ""
                found = f"the {self.what} {quoted(name)}{why}"
                reading.mistakes.add(node.keys[name], found, expected, meant=(name, self.names))
            elif (tree := self.value.read(value, reading)) is not None:
                entries[name] = tree
        return Fields(entries, node.keys)

    def schema(self) -> JsonSchema:
        """An object whose keys have a form."""
        return {
            "type": ["object", "null"],
            "propertyNames": self.key.schema(),
            "additionalProperties": self.value.schema(),
        }


@dataclass(frozen=True, slots=True)
class Named:
    """Entries by name.

    Attributes:
        what: What an entry is, for messages and as the layer's name: ``host``.
        key: What a name looks like.
        entry: What an entry looks like.
    """

    what: str
    key: Text
    entry: Record

    def read(self, node: Node, reading: Reading) -> Tree | None:
        """Read each entry as a layer of its own."""
        if isinstance(node, Scalar) and node.value is None:
            return Fields()
        if not isinstance(node, Mapping):
            reading.wrong(node, f"a mapping from each {self.what}'s name to what it is")
            return None
        entries = {}
        for name, value in node.entries.items():
            if expected := self.key.problem(name):
                found = f"the {self.what} name {quoted(name)}"
                reading.mistakes.add(node.keys[name], found, expected)
            reading.layer = f"{self.what} {name}"
            if (tree := self.entry.read(value, reading)) is not None:
                entries[name] = tree
        reading.layer = ""
        return Fields(entries, node.keys)

    def schema(self) -> JsonSchema:
        """An object whose keys have a form."""
        return {
            "type": ["object", "null"],
            "propertyNames": self.key.schema(),
            "additionalProperties": self.entry.schema(),
        }
