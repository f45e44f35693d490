"""Mistakes with their file and line; values with their origin."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core.errors import UsageError

# More than this many help nobody; each costs a search for the nearest name.
MAX_MISTAKES = 200
# A name longer than this was not meant to be one of ours, and comparing is quadratic.
_MAX_COMPARED = 64
_MAX_SHOWN = 60
_MAX_LISTED = 20


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file: lines and columns count from 1; 0 is the file as a whole.

    Attributes:
        file: Relative to the fleet's root.
    """

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        numbers = [str(number) for number in (self.line, self.column) if number]
        return ":".join([printable(self.file, limit=None), *numbers])


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing that is wrong in the inventory.

    Attributes:
        found: What is there.
        expected: What should be there, or what to do.
        nearest: The valid name that was probably meant.
        also: The other place, where two places contradict each other.
    """

    place: Position
    found: str
    expected: str
    nearest: str | None = None
    also: Position | None = None

    def __str__(self) -> str:
        parts = [f"{self.place}: {self.found}"]
        if self.also is not None:
            parts.append(f" (the other is at {self.also})")
        parts.append(f"; expected {self.expected}")
        if self.nearest is not None:
            parts.append(f"; did you mean {self.nearest!r}?")
        return "".join(parts)


class InventoryError(UsageError):
    """The inventory cannot be read; every mistake in it, by file and line.

    Args:
        mistakes: In order.
        more: How many further mistakes were counted and not kept.
    """

    def __init__(self, mistakes: tuple[Mistake, ...], *, more: int = 0) -> None:
        count = len(mistakes) + more
        head = f"the inventory has {count} mistake{'' if count == 1 else 's'}"
        lines = [head, *(f"  {mistake}" for mistake in mistakes)]
        if more:
            lines.append(f"  … and {more} more")
        super().__init__(
            "\n".join(lines),
            hint="correct the lines above, then: orchestrator check --inventory",
        )
        self.mistakes = mistakes


@dataclass(slots=True)
class Mistakes:
    """Collects mistakes, so that all of them are told at once."""

    kept: list[Mistake] = field(default_factory=list)
    more: int = 0

    def add(
        self,
        place: Position,
        found: str,
        expected: str,
        *,
        meant: tuple[str, Iterable[str]] | None = None,
        also: Position | None = None,
    ) -> None:
        """Note a mistake.

        Args:
            place: Where it is.
            found: What is there.
            expected: What should be.
            meant: A name as written and the names it could have been, for "did you mean".
            also: The other place of a contradiction.
        """
        if len(self.kept) >= MAX_MISTAKES:
            self.more += 1
            return
        near = nearest(*meant) if meant else None
        mistake = Mistake(place, found, expected, near, also)
        if mistake not in self.kept:
            self.kept.append(mistake)

    def settle(self) -> None:
        """Raise what was collected.

        Raises:
            InventoryError: There is at least one mistake.
        """
        if self.kept:
            unique = sorted(set(self.kept), key=lambda mistake: (mistake.place, mistake.found))
            raise InventoryError(tuple(unique), more=self.more)


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The valid name that resembles ``name`` most, or ``None`` where none does."""
    if len(name) > _MAX_COMPARED:
        return None
    by_fold = {valid.casefold(): valid for valid in names}
    found = difflib.get_close_matches(name.casefold(), by_fold, n=1)
    return by_fold[found[0]] if found else None


def one_of(names: Iterable[str], nothing: str = "nothing") -> str:
    """The valid names as an expectation, shortened where there are many."""
    listed = sorted(names)
    if not listed:
        return nothing
    tail = f", … ({len(listed)} in all)" if len(listed) > _MAX_LISTED else ""
    return f"one of {', '.join(listed[:_MAX_LISTED])}{tail}"


def printable(text: str, limit: int | None = _MAX_SHOWN) -> str:
    """``text`` on one line without control characters, shortened to ``limit`` characters."""
    short = text if limit is None or len(text) <= limit else text[:limit] + "…"
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in short
    )


def quoted(text: str) -> str:
    """``text`` in single quotes, for messages."""
    return f"'{printable(text)}'"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from.

    Attributes:
        place: ``None`` for what is built in.
        layer: Such as ``host p620``, ``template laptop``, ``defaults`` or ``built-in``.
    """

    place: Position | None
    layer: str

    def __str__(self) -> str:
        if self.place is None:
            return self.layer
        line = f":{self.place.line}" if self.place.line else ""
        return f"{Position(self.place.file)}{line} ({self.layer})"


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
    keys: dict[str, Position] = field(default_factory=dict)

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

    def items(self, key: str) -> tuple[Leaf, ...]:
        """The items of the list below ``key``."""
        found = self.entries.get(key)
        return found.items if isinstance(found, Items) else ()


Tree = Leaf | Items | Fields


def chain(name: str, entries: Mapping[str, object]) -> list[str]:
    """``name`` and what it extends, the furthest first."""
    names = [name]
    while (
        isinstance(tree := entries.get(names[-1]), Fields)
        and (parent := tree.leaf("extends")) is not None
    ):
        names.append(str(parent.value))
    return names[::-1]


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


def as_json(value: Any) -> Any:
    """Plain values as JSON has them, whose lists are lists."""
    if isinstance(value, dict):
        return {key: as_json(below) for key, below in value.items()}
    return [*value] if isinstance(value, tuple) else value


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
