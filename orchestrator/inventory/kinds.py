"""Kinds of single values. A kind reads a node and knows its JSON Schema: one declaration."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator.core.rollout import AMOUNT, Amount
from orchestrator.core.units import DURATION, SIZE, parse_duration, parse_size
from orchestrator.inventory.compose import Ambiguous, Mapping, Node, Scalar, Sequence, describe
from orchestrator.inventory.tree import (
    Fields,
    Items,
    Leaf,
    Mistakes,
    Origin,
    Position,
    Tree,
    printable,
    quoted,
)

JsonSchema = dict[str, Any]

# Nix's integers have 64 bits.
MAX_INTEGER = 2**63 - 1
# Nix's strings have no NUL, and JSON in UTF-8 no half of a surrogate pair.
NOT_FOR_NIX = re.compile("[\0\ud800-\udfff]")
_TIMES = "a number of seconds, or such as 90s, 10m, 2h, 7d"
_DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Reference:
    """A name that some section must declare; checked once every file is read.

    Attributes:
        name: Empty where the only entry of the section is meant.
    """

    section: str
    name: str
    place: Position


@dataclass(slots=True)
class Reading:
    """What reading collects beside the values.

    Attributes:
        layer: The layer that is being read, such as ``template laptop``.
    """

    mistakes: Mistakes
    references: list[Reference] = field(default_factory=list)
    layer: str = ""

    def leaf(self, value: object, node: Node) -> Leaf:
        """A value of the current layer."""
        return Leaf(value, Origin(node.place, self.layer))

    def wrong(self, node: Node, expected: str, found: str | None = None) -> None:
        """Note that ``node`` is not what is expected."""
        self.mistakes.add(node.place, found or describe(node), expected)


class Kind(Protocol):
    """What may stand at some place of the inventory."""

    def read(self, node: Node, reading: Reading) -> Tree | None:
        """Check a node; ``None`` where it is a mistake, which is noted then."""

    def schema(self) -> JsonSchema:
        """The same as JSON Schema, draft 2020-12."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text of a form.

    Attributes:
        expected: The form in words.
        pattern: A regular expression in the part of the language that Python and ECMA share.
        section: The section that must declare the text as a name.
        words: Texts that need no declaration.
        reserved: Texts that mean something else.
        secret: Whether a wrong one may be something that must not be shown.
    """

    expected: str
    pattern: str
    section: str | None = None
    words: tuple[str, ...] = ()
    reserved: tuple[str, ...] = ()
    secret: bool = False

    def problem(self, text: str) -> str | None:
        """What would be expected instead of ``text``; ``None`` where it is right."""
        if text in self.reserved:
            return f"{self.expected} other than {', '.join(self.reserved)}, which are words"
        if re.fullmatch(self.pattern, text) is None:
            return self.expected
        return None

    def read(self, node: Node, reading: Reading) -> Tree | None:
        """Read a text, and remember it where it refers to something."""
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            reading.wrong(node, self.expected + _in_quotes(node))
            return None
        if expected := self.problem(node.value):
            hidden = "a text that is not shown here, as it may be secret"
            reading.wrong(node, expected, hidden if self.secret else None)
            return None
        if self.section is not None and node.value not in self.words:
            reading.references.append(Reference(self.section, node.value, node.place))
        return reading.leaf(node.value, node)

    def schema(self) -> JsonSchema:
        """A string with a pattern."""
        schema: JsonSchema = {"type": "string", "pattern": f"^(?:{self.pattern})$"}
        return schema | ({"not": {"enum": list(self.reserved)}} if self.reserved else {})


def _in_quotes(node: Node) -> str:
    if isinstance(node, Scalar) and node.text:
        return f'; as a text it is written in quotes: "{printable(node.text)}"'
    return ""


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number from ``low`` to ``high``, both included."""

    low: int
    high: int

    def read(self, node: Node, reading: Reading) -> Tree | None:
        """Read a whole number."""
        value = node.value if isinstance(node, Scalar) else None
        if type(value) is int and self.low <= value <= self.high:
            return reading.leaf(value, node)
        reading.wrong(node, f"a whole number from {self.low} to {self.high}")
        return None

    def schema(self) -> JsonSchema:
        """An integer with bounds."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Size:
    """A size of memory, such as ``3G``; read as bytes."""

    def read(self, node: Node, reading: Reading) -> Tree | None:
        """Read a size."""
        value = node.value if isinstance(node, Scalar) else None
        try:
            return reading.leaf(parse_size(value if isinstance(value, str) else ""), node)
        except ValueError:
            reading.wrong(node, "a size such as 512M, 3G or 1.5T")
            return None

    def schema(self) -> JsonSchema:
        """A string with a pattern."""
        return {"type": "string", "pattern": f"^(?:{SIZE})$"}


@dataclass(frozen=True, slots=True)
class Boolean:
    """``true`` or ``false``."""

    def read(self, node: Node, reading: Reading) -> Tree | None:
        """Read a boolean."""
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return reading.leaf(node.value, node)
        reading.wrong(node, "true or false")
        return None

    def schema(self) -> JsonSchema:
        """A boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Word:
    """One of some words.

    Attributes:
        words: In the order in which people are told them.
    """

    words: tuple[str, ...]

    def read(self, node: Node, reading: Reading) -> Tree | None:
        """Read one of the words."""
        if isinstance(node, Scalar) and node.value in self.words:
            return reading.leaf(node.value, node)
        reading.wrong(node, f"one of {', '.join(self.words)}")
        return None

    def schema(self) -> JsonSchema:
        """An enumeration."""
        return {"enum": list(self.words)}


@dataclass(frozen=True, slots=True)
class Switch:
    """``false``, the name of a section's entry, or ``true`` for the only entry there is."""

    name: Text

    def read(self, node: Node, reading: Reading) -> Tree | None:
        """Read a boolean or a name, and remember what it refers to."""
        if not isinstance(node, Scalar) or not isinstance(node.value, bool):
            return self.name.read(node, reading)
        if node.value and self.name.section is not None:
            reading.references.append(Reference(self.name.section, "", node.place))
        return reading.leaf(node.value, node)

    def schema(self) -> JsonSchema:
        """A boolean or a string with a pattern."""
        return {"anyOf": [{"type": "boolean"}, self.name.schema()]}


@dataclass(frozen=True, slots=True)
class Duration:
    """A time: a number of seconds, or ``90s``, ``10m``, ``2h``, ``7d``.

    Attributes:
        zero: Whether no time at all is a valid time.
        days: How many it may be at the most.
    """

    zero: bool = False
    days: int = 7

    def read(self, node: Node, reading: Reading) -> Tree | None:
        """Read a duration, in seconds."""
        seconds = self._seconds(node)
        most = self.days * _DAY
        if seconds is not None and (0 < seconds <= most or (self.zero and seconds == 0)):
            return reading.leaf(seconds, node)
        more = "" if self.zero else "more than nothing and "
        reading.wrong(node, f"{more}at most {self.days} days: {_TIMES}")
        return None

    def _seconds(self, node: Node) -> float | None:
        match node:
            case Scalar(value=int() | float() as number) if not isinstance(number, bool):
                return float(number)
            case Scalar(value=str() as text):
                with contextlib.suppress(ValueError):
                    return parse_duration(text)
        return None

    def schema(self) -> JsonSchema:
        """A number or a string with a unit."""
        low: JsonSchema = {"minimum": 0} if self.zero else {"exclusiveMinimum": 0}
        number = {"type": "number", "maximum": int(self.days * _DAY)} | low
        return {"anyOf": [number, {"type": "string", "pattern": f"^(?:{DURATION})$"}]}


@dataclass(frozen=True, slots=True)
class AmountOrText:
    """A number of hosts from 1 on, or a percentage of them.

    Attributes:
        text: What else it may be.
    """

    text: Text | None = None

    def read(self, node: Node, reading: Reading) -> Tree | None:
        """Read an amount; its leaf has an :class:`Amount`, or the other text."""
        value = node.value if isinstance(node, Scalar) else None
        if type(value) in (int, str):
            with contextlib.suppress(ValueError):
                return reading.leaf(Amount.parse(str(value)), node)
        if self.text is not None and isinstance(value, str):
            return self.text.read(node, reading)
        more = f", or {self.text.expected}" if self.text else ""
        reading.wrong(node, f"a number of hosts, from 1 on, or such as 25%{more}")
        return None

    def schema(self) -> JsonSchema:
        """An integer or a string."""
        number = {"type": "integer", "minimum": 1, "maximum": 999_999}
        text = self.text.schema() if self.text else {"type": "string", "pattern": f"^(?:{AMOUNT})$"}
        return {"anyOf": [number, text]}


@dataclass(frozen=True, slots=True)
class Facts:
    """A free-form mapping: whatever JSON can say and Nix can read."""

    def read(self, node: Node, reading: Reading) -> Tree | None:
        """Read a mapping; those inside of it stay mappings, so that layers of them merge."""
        if isinstance(node, Scalar) and node.value is None:
            return Fields()
        if not isinstance(node, Mapping):
            reading.wrong(node, "a mapping")
            return None
        return _facts(node, reading)

    def schema(self) -> JsonSchema:
        """An object of anything."""
        return {"type": ["object", "null"]}


def _facts(node: Node, reading: Reading) -> Tree:
    match node:
        case Mapping(entries=entries):
            _check_keys(node, reading)
            return Fields({key: _facts(value, reading) for key, value in entries.items()})
        case Sequence(items=items):
            return Items(tuple(reading.leaf(_fact(item, reading), item) for item in items))
        case Scalar():
            return reading.leaf(_fact(node, reading), node)


def _fact(node: Node, reading: Reading) -> object:
    match node:
        case Mapping(entries=entries):
            _check_keys(node, reading)
            return {key: _fact(value, reading) for key, value in entries.items()}
        case Sequence(items=items):
            return [_fact(item, reading) for item in items]
        case Scalar(value=Ambiguous()):
            reading.wrong(node, "true, false, a plain number, or a text in quotes")
        case Scalar(value=float() as number) if not abs(number) < float("inf"):
            reading.wrong(node, "a finite number")
        case Scalar(value=int() as whole) if abs(whole) > MAX_INTEGER:
            reading.wrong(node, "a whole number of at most 64 bits")
        case Scalar(value=str() as text) if NOT_FOR_NIX.search(text):
            reading.wrong(node, "a text without NUL")
        case Scalar(value=value):
            return value
    return None


def _check_keys(node: Mapping, reading: Reading) -> None:
    for key, place in node.keys.items():
        if NOT_FOR_NIX.search(key):
            reading.mistakes.add(place, f"the key {quoted(key)}", "a text without NUL")
