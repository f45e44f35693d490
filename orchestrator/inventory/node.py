"""What a YAML file says, before it means anything: nodes that know where they stand."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.inventory.mistake import Place, quoted


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A plain scalar that YAML 1.1 and 1.2 read differently, such as ``on`` or ``022``."""

    text: str


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value; ``text`` is how it is written."""

    value: str | int | float | bool | Ambiguous | None
    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Mapping:
    """Entries by key; a key knows its own place."""

    entries: dict[str, Node]
    keys: dict[str, Place]
    place: Place


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
