"""Selectors: which hosts of the fleet are meant.

A selector is a name, a glob, or an expression over them and over ``tag:``, ``template:``,
``profile:``, ``role:``, ``feature:``, ``class:`` and ``fact:``; a class's name means its members::

    any    = all { "or" all }
    all    = not { "and" not }
    not    = "not" not | "(" any ")" | atom
    atom   = [ kind ":" ] glob          # as the shell's: * ? [...]
           | "fact:" name "=" glob

A host of which a fact is not known is meant neither by the condition nor by ``not`` of it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, assert_never

from msgspec import Struct

from orchestrator.core.errors import UsageError
from orchestrator.core.host import Fleet, Host
from orchestrator.core.members import Hosts
from orchestrator.core.units import on_one_line

_KINDS: dict[str, Callable[[Host], tuple[str, ...]]] = {
    "tag": lambda host: host.tags,
    "template": lambda host: (host.template,) if host.template is not None else (),
    "profile": lambda host: host.profiles,
    "role": lambda host: host.roles,
    "feature": lambda host: host.features,
    "class": lambda host: (host.of,) if host.of is not None else (),
}
_PLURALS = {"class": "classes"}
_FACT = "fact"
_WORDS = ("and", "or", "not")
_TOKEN = re.compile(r"[()]|[^\s()]+")
_ATOM = re.compile(r"[A-Za-z0-9_.*?\[\]!-]+")
_CONDITION = re.compile(rf"[a-z0-9.-]+=({_ATOM.pattern})")
_MAX_DEPTH = 50
_MAX_LENGTH = 2000
_MAX_LISTED = 20


class Atom(Struct, frozen=True):
    """A name or glob: of a host, or of one of its tags, roles and so on where ``kind`` says so."""

    pattern: str
    kind: str | None = None

    def __str__(self) -> str:
        return self.pattern if self.kind is None else f"{self.kind}:{self.pattern}"


class Not(Struct, frozen=True):
    """Every host that ``inner`` does not mean."""

    inner: Selector

    def __str__(self) -> str:
        return f"not {_inside(self.inner, (Atom, Not))}"


class And(Struct, frozen=True):
    """The hosts that both sides mean."""

    left: Selector
    right: Selector

    def __str__(self) -> str:
        return f"{_inside(self.left, (Atom, Not, And))} and {_inside(self.right, (Atom, Not))}"


class Or(Struct, frozen=True):
    """The hosts that either side means."""

    left: Selector
    right: Selector

    def __str__(self) -> str:
        return f"{self.left} or {_inside(self.right, (Atom, Not, And))}"


Selector = Atom | Not | And | Or


def _inside(inner: Selector, bare: tuple[type, ...]) -> str:
    return str(inner) if isinstance(inner, bare) else f"({inner})"


class _Token(Struct, frozen=True):
    text: str
    column: int


class _Parser(Struct):
    text: str
    tokens: list[_Token]
    at: int = 0

    def selector(self) -> Selector:
        read = self.any(0)
        if self.at < len(self.tokens):
            closes = self.tokens[self.at].text == ")"
            raise self.error("no '(' is open here" if closes else "expected 'and' or 'or'")
        return read

    def any(self, depth: int) -> Selector:
        left = self.all(depth)
        while self.take("or"):
            left = Or(left, self.all(depth))
        return left

    def all(self, depth: int) -> Selector:
        left = self.negated(depth)
        while self.take("and"):
            left = And(left, self.negated(depth))
        return left

    def negated(self, depth: int) -> Selector:
        if depth > _MAX_DEPTH:
            raise self.error(f"more than {_MAX_DEPTH} levels deep")
        if self.take("not"):
            return Not(self.negated(depth + 1))
        if self.take("("):
            inner = self.any(depth + 1)
            if not self.take(")"):
                raise self.error("expected ')'")
            return inner
        return self.atom()

    def atom(self) -> Atom:
        word = self.tokens[self.at].text if self.at < len(self.tokens) else ")"
        if word == ")" or word in _WORDS:
            raise self.error("expected a name, a glob, or such as tag:NAME")
        kind, colon, pattern = word.rpartition(":")
        if colon and kind == _FACT:
            return self.condition(pattern)
        if colon and kind not in _KINDS:
            near = _nearest(kind, (*_KINDS, _FACT))
            kinds = ", ".join(f"{known}:" for known in (*_KINDS, _FACT))
            raise self.error(f"expected one of {kinds}{near}")
        if not _ATOM.fullmatch(pattern):
            raise self.error("expected letters, digits, '-', '_', '.', or a glob's * ? [...]")
        self.at += 1
        return Atom(pattern, kind if colon else None)

    def condition(self, text: str) -> Atom:
        if not _CONDITION.fullmatch(text):
            raise self.error("expected a fact and its value, such as fact:gpu=nvidia")
        try:
            _facts_room().check(text)
        except ValueError as error:
            raise self.error(str(error)) from None
        self.at += 1
        return Atom(text, _FACT)

    def take(self, text: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at].text == text:
            self.at += 1
            return True
        return False

    def error(self, expected: str) -> UsageError:
        end = len(self.text.rstrip())
        column = self.tokens[self.at].column if self.at < len(self.tokens) else end
        return UsageError(
            f"the selector cannot be read at column {column + 1}: {expected}\n"
            f"  {self.text}\n  {' ' * column}^",
            hint="for example: p620, 'lap*', 'tag:rack and not role:cache' (docs/selectors.md)",
        )


def parse(text: str) -> Selector:
    """Read one selector.

    Raises:
        UsageError: It is none; the message points at the column.
    """
    if len(text) > _MAX_LENGTH:
        raise UsageError(f"a selector of {len(text)} characters; at most {_MAX_LENGTH} are read")
    shown = on_one_line(text)
    tokens = [_Token(found.group(), found.start()) for found in _TOKEN.finditer(shown)]
    return _Parser(shown, tokens).selector()


def _facts_room() -> Any:
    """What knows conditions on facts: of a room above this one, and only for those who name it."""
    return importlib.import_module("orchestrator.facts.selecting")


Holds = Callable[[str, Host], bool | None]
"""Whether a condition on facts holds for a host; ``None`` where that is not known."""


def matches(selector: Selector, host: Host, holds: Holds | None = None) -> bool | None:
    """Whether ``selector`` means ``host``; ``None`` where a fact decides that is not known.

    Args:
        selector: The selector.
        host: The host.
        holds: Decides conditions on facts; none is known without.
    """
    match selector:
        case Atom(pattern=pattern, kind="fact"):
            return holds(pattern, host) if holds is not None else None
        case Atom(pattern=pattern, kind=kind):
            return any(fnmatchcase(name, pattern) for name in _names(host, kind))
        case Not(inner=inner):
            is_meant = matches(inner, host, holds)
            return None if is_meant is None else not is_meant
        case And(left=left, right=right):
            sides = matches(left, host, holds), matches(right, host, holds)
            return False if False in sides else None if None in sides else True
        case Or(left=left, right=right):
            sides = matches(left, host, holds), matches(right, host, holds)
            return True if True in sides else None if None in sides else False
        case _:
            assert_never(selector)


def select(fleet: Fleet, selectors: Sequence[str]) -> tuple[Host, ...]:
    """The hosts that ``selectors`` mean together, in the inventory's order; without any, all.

    Raises:
        UsageError: A selector cannot be read, means no host, or names something that no host has:
            in ``not tag:TYPO`` that would otherwise mean everything.
    """
    if selectors and (named := _named(fleet, selectors)):
        return tuple(fleet.hosts[name] for name in fleet.hosts if name in named)
    hosts = tuple(fleet.hosts.values())
    if not selectors:
        return hosts
    chosen: set[str] = set()
    for text in selectors:
        selector = parse(text)
        for atom in _atoms(selector):
            _check_exists(atom, hosts)
        chosen.update(_meant(selector, fleet, hosts))
    return tuple(host for host in hosts if host.name in chosen)


def _named(fleet: Fleet, selectors: Sequence[str]) -> set[str]:
    """What plain names mean, by no look at any other host; nothing where one is no plain name."""
    named: set[str] = set()
    for text in selectors:
        found: Sequence[str] = (text,) if text in fleet.hosts else ()
        if not found and isinstance(fleet.hosts, Hosts):
            found = fleet.hosts.of_class(text)
        if not found:
            return set()
        named.update(found)
    return named


def _meant(selector: Selector, fleet: Fleet, hosts: Sequence[Host]) -> list[str]:
    asks_facts = any(atom.kind == _FACT for atom in _atoms(selector))
    holds = _facts_room().holds(fleet) if asks_facts else None
    meant = {host.name: matches(selector, host, holds) for host in hosts}
    found = [name for name, is_meant in meant.items() if is_meant]
    unknown = [name for name, is_meant in meant.items() if is_meant is None]
    hint = _facts_room().tell_unknown(unknown) if unknown else _what_exists(hosts)
    if not found:
        raise UsageError(f"no host matches '{selector}'", hint=hint)
    return found


def complete(fleet: Fleet, prefix: str) -> list[str]:
    """What ``prefix`` could become, for a shell: the last word of an expression is completed."""
    hosts = tuple(fleet.hosts.values())
    start = max((prefix.rfind(char) + 1 for char in " ("), default=0)
    before, word = prefix[:start], prefix[start:]
    kind, colon, _ = word.partition(":")
    if kind == _FACT and colon:
        whole = [f"{kind}:{one}" for one in _facts_room().complete(fleet, word[len("fact:") :])]
    elif colon:
        whole = [f"{kind}:{name}" for name in _existing(hosts, kind)] if kind in _KINDS else []
    else:
        kinds = [f"{known}:" for known in _KINDS if _existing(hosts, known)]
        whole = [
            *_existing(hosts, None),
            *kinds,
            *([f"{_FACT}:"] if word else []),
            *(f"{w} " for w in _WORDS if before),
        ]
    return [before + candidate for candidate in whole if candidate.startswith(word)]


def _names(host: Host, kind: str | None) -> tuple[str, ...]:
    return (host.name, *_KINDS["class"](host)) if kind is None else _KINDS[kind](host)


def _existing(hosts: Iterable[Host], kind: str | None) -> list[str]:
    """The names that hosts have, in the order in which they are first met."""
    return list(dict.fromkeys(name for host in hosts for name in _names(host, kind)))


def _atoms(selector: Selector) -> Iterator[Atom]:
    match selector:
        case Atom():
            yield selector
        case Not(inner=inner):
            yield from _atoms(inner)
        case And(left=left, right=right) | Or(left=left, right=right):
            yield from _atoms(left)
            yield from _atoms(right)
        case _:
            assert_never(selector)


def _check_exists(atom: Atom, hosts: Sequence[Host]) -> None:
    if atom.kind == _FACT:
        return
    existing = _existing(hosts, atom.kind)
    if not any(fnmatchcase(name, atom.pattern) for name in existing):
        near = _nearest(atom.pattern, existing)
        raise UsageError(f"no host matches '{atom}'{near}", hint=_what_exists(hosts))


def _what_exists(hosts: Sequence[Host]) -> str:
    kinds = ((_PLURALS.get(kind, f"{kind}s"), _existing(hosts, kind)) for kind in _KINDS)
    listed = (("hosts", [host.name for host in hosts]), *kinds)
    return "\n".join(f"{title}: {_list(names)}" for title, names in listed if names)


def _list(names: Sequence[str]) -> str:
    more = f", … ({len(names)} in all)" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more


def _nearest(name: str, names: Iterable[str]) -> str:
    import difflib  # for a slip alone

    found = difflib.get_close_matches(name[:64], list(names), n=1)
    return f"; did you mean '{found[0]}'?" if found else ""
