"""YAML as nodes that know their file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NoReturn

import yaml

from orchestrator.core.units import split_lines
from orchestrator.inventory.tree import Mistakes, Position, printable, quoted


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A plain scalar that YAML 1.1 and 1.2 read differently, such as ``on`` or ``022``."""

    text: str


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value; ``text`` is how it is written."""

    value: str | int | float | bool | Ambiguous | None
    text: str
    place: Position


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    place: Position


@dataclass(frozen=True, slots=True)
class Mapping:
    """Entries by key; a key knows its own place."""

    entries: dict[str, Node]
    keys: dict[str, Position]
    place: Position


Node = Scalar | Sequence | Mapping

_CONSTANTS: dict[str, bool | None] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
# What https://yaml.org/type/bool.html and int.html (1.1) read as booleans and as octal, binary,
# base-60 or underscored numbers, and https://yaml.org/spec/1.2.2/#103-core-schema does not.
_AMBIGUOUS = re.compile(
    r"yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF"
    r"|[-+]?0[0-9_]+|[-+]?0[box][0-9A-Fa-f_]+|[-+]?[0-9]+_[0-9_]*"
    r"|[-+]?[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9]*)?"
)
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
# A longer run of digits is no number that we have a use for; converting it is quadratic.
_MAX_DIGITS = 40


@lru_cache(4096)
def resolve(text: str) -> str | int | float | bool | Ambiguous | None:
    """What a plain scalar means: YAML 1.2's core schema, with 1.1's traps kept apart."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if len(text) > _MAX_DIGITS:
        return text
    if _AMBIGUOUS.fullmatch(text):
        return Ambiguous(text)
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def describe(node: Node) -> str:
    """What a node is, in words for a message."""
    match node:
        case Sequence():
            return "a list"
        case Mapping():
            return "a mapping"
        case Scalar(value=None):
            return "nothing"
        case Scalar(value=Ambiguous(text=text)):
            return f"{quoted(text)} (YAML 1.1 and 1.2 read it differently)"
        case Scalar(value=bool()):
            return f"the boolean {node.text}"
        case Scalar(value=int() | float()):
            return f"the number {node.text}"
        case Scalar():
            return f"the text {quoted(node.text)}"


MAX_NODES = 200_000
MAX_DEPTH = 32


class _Stop(Exception):  # noqa: N818 - it ends the reading of one file, and is no error outside
    """The rest of the file cannot be read; the mistake is noted already."""


def compose(text: str, file: str, mistakes: Mistakes) -> Node | None:
    """Compose one YAML document.

    Args:
        text: The file's content, free of control characters.
        file: Its name for messages, relative to the fleet's root.
        mistakes: Takes what is wrong.

    Returns:
        The document, or ``None`` where the file cannot be read to its end.
    """
    try:
        # yaml.parse's events, without its frame for each of them.
        events: Iterator[yaml.Event] = iter(_loader()(text).get_event, None)
        return _Composer(events, file, mistakes).document()
    except _Stop:
        return None
    except yaml.MarkedYAMLError as error:
        _note_syntax(error, text, file, mistakes)
    except yaml.YAMLError as error:
        mistakes.add(Position(file), f"not YAML: {printable(str(error))}", "a YAML file")
    return None


def _loader() -> type[yaml.SafeLoader]:
    """The loader on libyaml where PyYAML was built with it: about ten times as fast."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _note_syntax(error: yaml.MarkedYAMLError, text: str, file: str, mistakes: Mistakes) -> None:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = split_lines(text)
    here = lines[line] if line < len(lines) else ""
    place = Position(file, line + 1, column + 1)
    if "\t" in here[: column + 1]:
        mistakes.add(place, "a tab where YAML wants spaces", "indentation with spaces only")
        return
    found = f"not YAML: {printable(error.problem or 'unreadable', 120)}"
    if error.context and error.context_mark:
        found += f", {printable(error.context, 120)} from line {error.context_mark.line + 1} on"
    expected = "YAML (look for wrong indentation, or a bracket or quote left open)"
    mistakes.add(place, found, expected)


@dataclass(slots=True)
class _Anchored:
    """A finished node with an anchor, and what an alias of it costs."""

    node: Node
    size: int
    height: int


@dataclass(slots=True)
class _Composer:
    events: Iterator[yaml.Event]
    file: str
    mistakes: Mistakes
    # None: the anchor's node is still open.
    anchors: dict[str, _Anchored | None] = field(default_factory=dict)
    nodes: int = 0

    def document(self) -> Node:
        next(self.events)  # the stream's start
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return Scalar(None, "", Position(self.file))
        root = self._node(next(self.events), 1)
        next(self.events)  # the document's end
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            self._stop(self._place(after), "a second YAML document", "one document a file")
        return root

    def _node(self, event: yaml.Event, depth: int) -> Node:
        place = self._place(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), place, depth)
        self._spend(1, depth, place)
        anchor: str | None = getattr(event, "anchor", None)
        before = self.nodes
        if anchor is not None:
            self.anchors[anchor] = None
        self._refuse_tag(event, place)
        if isinstance(event, yaml.ScalarEvent):
            node: Node = _scalar(event, place)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(place, depth)
        else:
            node = self._mapping(place, depth)
        if anchor is not None:
            self.anchors[anchor] = _Anchored(node, self.nodes - before + 1, _height(node))
        return node

    def _sequence(self, place: Position, depth: int) -> Node:
        items: list[Node] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return Sequence(tuple(items), place)

    def _mapping(self, place: Position, depth: int) -> Node:
        entries: dict[str, Node] = {}
        keys: dict[str, Position] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._key(self._node(event, depth + 1))
            at = self._place(event)
            value = self._node(next(self.events), depth + 1)
            if key is None:
                continue
            if key in keys:
                found = f"the key {quoted(key)} a second time"
                self.mistakes.add(at, found, "each key once", also=keys[key])
                continue
            entries[key], keys[key] = value, at
        return Mapping(entries, keys, place)

    def _key(self, node: Node) -> str | None:
        if isinstance(node, Scalar) and isinstance(node.value, str):
            if node.text == "<<":
                expected = "a template, a profile or `extends` instead: merge keys are not read"
                self.mistakes.add(node.place, "a merge key '<<'", expected)
                return None
            return node.value
        expected = "a text"
        if isinstance(node, Scalar) and node.text:
            expected = f'a text, so write it in quotes: "{printable(node.text)}":'
        self.mistakes.add(node.place, f"{describe(node)} as a key", expected)
        return None

    def _alias(self, anchor: str, place: Position, depth: int) -> Node:
        name = quoted(f"*{anchor}")
        if anchor not in self.anchors:
            self._stop(
                place, f"an unknown alias {name}", f"an anchor &{printable(anchor)} above it"
            )
        anchored = self.anchors[anchor]
        if anchored is None:
            self._stop(place, f"an alias {name} inside of what it stands for", "no recursion")
        self._spend(anchored.size, depth + anchored.height - 1, place)
        return anchored.node

    def _spend(self, nodes: int, depth: int, place: Position) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            found = f"more than {MAX_NODES} values once aliases are expanded"
            self._stop(place, found, "a smaller file")
        if depth > MAX_DEPTH:
            self._stop(place, f"more than {MAX_DEPTH} levels", "a flatter file")

    def _refuse_tag(self, event: yaml.Event, place: Position) -> None:
        tag: str | None = getattr(event, "tag", None)
        if tag is not None:
            self.mistakes.add(place, f"a YAML tag {quoted(tag)}", "plain values: tags are not read")

    def _stop(self, place: Position, found: str, expected: str) -> NoReturn:
        self.mistakes.add(place, found, expected)
        raise _Stop

    def _place(self, event: yaml.Event) -> Position:
        mark = event.start_mark
        assert mark is not None
        return Position(self.file, mark.line + 1, mark.column + 1)


def _scalar(event: yaml.Event, place: Position) -> Scalar:
    text: str = getattr(event, "value", "")
    plain = getattr(event, "style", None) in (None, "")
    return Scalar(resolve(text) if plain else text, text, place)


def _height(node: Node) -> int:
    match node:
        case Scalar():
            return 1
        case Sequence(items=items):
            return 1 + max(map(_height, items), default=0)
        case Mapping(entries=entries):
            return 1 + max(map(_height, entries.values()), default=0)
