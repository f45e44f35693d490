"""Conditions on facts, as selectors have them: ``gpu=nvidia``, ``memory-below=8GiB``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from orchestrator.core.facts import Facts
from orchestrator.core.units import parse_size, whole_number
from orchestrator.core.values import replace
from orchestrator.facts.model import BY_NAME, CAPABILITIES, KEYS, Kind

_ALIASES = {
    "cpu": "cpu.vendor",
    "gpu": "gpu.vendors",
    "capability": "capabilities",
    "product": "dmi.product",
    "vendor": "dmi.vendor",
}
_SIZES = {
    "memory": "memory.installed",
    "disk": "disk.largest",
    "cpus": "cpu.threads",
    "cores": "cpu.cores",
}
"""What can be compared: ``NAME-below=SIZE`` and ``NAME-above=SIZE``."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a fact is to be.

    Attributes:
        key: The fact.
        holds_for: Whether a value that is known is so.
        capabilities: Those of which one is asked for: each may be unknown alone.
    """

    key: str
    holds_for: Callable[[Any], bool]
    capabilities: frozenset[str] = frozenset()

    def holds(self, facts: Facts) -> bool | None:
        """Whether it holds; ``None`` where that is not known."""
        value = facts.value(self.key)
        if value is None:
            return None
        unknown = self.capabilities.intersection(facts.value("capabilities.unknown") or ())
        return self.holds_for(value) or (None if unknown else False)


def parse(text: str) -> Condition:
    """Read ``NAME=VALUE``; a value may be a glob, and compares without regard to case.

    Raises:
        ValueError: It is no condition; the message says what is expected.
    """
    name, _, value = text.partition("=")
    if not value:
        raise ValueError("expected a fact and its value, such as fact:gpu=nvidia")
    for end, is_so in _COMPARISONS.items():
        measured = name.removesuffix(end)
        if measured != name and measured in _SIZES:
            return _compared(_SIZES[measured], value, is_so)
    key = BY_NAME.get(_ALIASES.get(name, name))
    if key is None or key.identifies or key.kind in (Kind.THINGS, Kind.SECONDS):
        raise ValueError(f"expected a fact that can be selected by{_near(name)}")
    condition = Condition(key.name, lambda known: _is(known, value.lower()))
    return _capable(condition, value) if key.name == "capabilities" else condition


def _capable(condition: Condition, text: str) -> Condition:
    """Refuse what is no capability: of it nothing would be known of any machine."""
    names = frozenset(name for name in CAPABILITIES if condition.holds_for([name]))
    if not names:
        near = difflib.get_close_matches(text[:64].lower(), CAPABILITIES, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else f": {', '.join(sorted(CAPABILITIES))}"
        raise ValueError(f"expected a capability that is asked for{meant}")
    return replace(condition, capabilities=names)


_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "-below": lambda known, limit: known < limit,
    "-above": lambda known, limit: known > limit,
}


def _compared(key: str, text: str, is_so: Callable[[int, int], bool]) -> Condition:
    counted = BY_NAME[key].kind is Kind.NUMBER
    limit = whole_number(text) if counted else parse_size(text.removesuffix("B").removesuffix("i"))
    if limit is None:
        raise ValueError(f"expected a number, not {text!r}")
    return Condition(key, lambda known: isinstance(known, int) and is_so(known, limit))


def _is(known: object, wanted: str) -> bool:
    match known:
        case bool():
            return wanted in (("yes", "true") if known else ("no", "false"))
        case list():
            return any(_is(one, wanted) for one in known)
        case _:
            return fnmatchcase(str(known).lower(), wanted)


def names() -> list[str]:
    """All that conditions can be of, the short names first."""
    kinds = (Kind.THINGS, Kind.SECONDS)
    named = [key.name for key in KEYS if key.kind not in kinds and not key.identifies]
    return [*_ALIASES, *(f"{each}{end}" for each in _SIZES for end in _COMPARISONS), *named]


def values(name: str, known: Iterable[Facts]) -> list[str]:
    """What a condition of this name could ask for, in words that no shell takes for its own.

    Machines say their facts: a value that has any other character is left out.
    """
    key = BY_NAME.get(_ALIASES.get(name, name))
    if key is None or name not in names():
        return []
    if key.kind is Kind.FLAG:
        return ["yes", "no"]
    if key.name == "capabilities":
        return sorted(CAPABILITIES)
    said = (facts.value(key.name) for facts in known)
    each = {str(one) for value in said for one in (value if isinstance(value, list) else [value])}
    return sorted(one for one in each - {"None"} if _PLAIN.fullmatch(one))


_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


def _near(name: str) -> str:
    found = difflib.get_close_matches(name[:64], names(), n=1)
    return f"; did you mean '{found[0]}'?" if found else ": see docs/facts.md"
