"""Nix source as words: names, strings and signs, as far as a search for literals needs it.

Comments are left out; what stands in an interpolation is read as the code that it is. The lexical
rules are those of the Nix manual, "Language": "String literal", "Comments".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

_CODE = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<name>[A-Za-z_][A-Za-z0-9_'-]*)
    |(?P<indented>'')|(?P<quoted>")|(?P<open>\$\{|\{)|(?P<close>\})|(?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_QUOTED = re.compile(
    r"""(?P<text>(?:[^"\\$]+|\\.|\$\$|\$(?!\{))+)|(?P<hole>\$\{)|(?P<end>")""", re.DOTALL
)
_INDENTED = re.compile(
    r"""(?P<text>(?:[^'$]+|'(?!')|''(?:['$]|\\.)|\$\$|\$(?!\{))+)|(?P<hole>\$\{)|(?P<end>'')""",
    re.DOTALL,
)


class Kind(Enum):
    """What a word is."""

    NAME = "name"
    STRING = "string"
    SIGN = "sign"


@dataclass(frozen=True, slots=True)
class Word:
    """A word of Nix source.

    Attributes:
        text: The name, the sign, or what stands between a string's quotes.
        line: Where it begins; the first line is 1.
        whole: Whether a string is without interpolations.
    """

    kind: Kind
    text: str = field(repr=False)
    line: int
    whole: bool = True


@dataclass(slots=True)
class _Open:
    """A string that is not closed yet, or code in braces (``pattern`` is ``_CODE``)."""

    pattern: re.Pattern[str]
    line: int = 0
    text: str = ""
    whole: bool = True


def words(text: str) -> Iterator[Word]:
    """Take Nix source apart. What is no Nix gives some words, and never an error."""
    stack = [_Open(_CODE)]
    at, line = 0, 1
    while at < len(text):
        top = stack[-1]
        found = top.pattern.match(text, at)
        if found is None:  # a lone backslash at the end of a string that is not closed
            return
        at = found.end()
        match found.lastgroup:
            case "name" | "sign":
                kind = Kind.NAME if found.lastgroup == "name" else Kind.SIGN
                yield Word(kind, found[0], line)
            case "quoted" | "indented":
                pattern = _QUOTED if found.lastgroup == "quoted" else _INDENTED
                stack.append(_Open(pattern, line))
            case "text":
                top.text += found[0]
            case "hole" | "open":
                top.whole = False
                stack.append(_Open(_CODE))
            case "close":
                yield Word(Kind.SIGN, "}", line)
                if len(stack) > 1:
                    stack.pop()
            case "end":
                stack.pop()
                yield Word(Kind.STRING, top.text, top.line, top.whole)
        line += found[0].count("\n")
