"""Conditions on facts, as selectors have them: ``gpu=nvidia``, ``memory-below=8GiB``."""

from __future__ import annotations

import difflib
from collections.abc import Callable
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


def _near(name: str) -> str:
    named = [key.name for key in KEYS if key.kind not in (Kind.THINGS, Kind.SECONDS)]
    compared = [f"{each}{end}" for each in _SIZES for end in _COMPARISONS]
    found = difflib.get_close_matches(name[:64], [*_ALIASES, *named, *compared], n=1)
    return f"; did you mean '{found[0]}'?" if found else ": see docs/facts.md"
