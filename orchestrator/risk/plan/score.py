"""The score of a configuration, its level, and how it differs from another's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from orchestrator.core.risk import Assessment, Floor, Risk, RiskChange, Term
from orchestrator.core.values import replace
from orchestrator.risk.model import Surface
from orchestrator.risk.plan import machine, network, people
from orchestrator.risk.plan.weights import unread

T = TypeVar("T")

THRESHOLDS = {Risk.CRITICAL: 100, Risk.HIGH: 50, Risk.MODERATE: 25, Risk.LOW: 10}
"""The score from which on a level is reached: each takes about twice as much as the one below."""

MOST = 1000
"""Terms of one system that are kept: the heaviest. Nobody reads more."""

SAID = 20
"""Terms that a change names: a report has one for each host."""


def level(score: int) -> Risk:
    """The level of a score."""
    return next((risk for risk, least in THRESHOLDS.items() if score >= least), Risk.MINIMAL)


def assess(terms: Iterable[Term], floors: Iterable[Floor] = ()) -> Assessment:
    """Sum up terms: each counts once, and never less than nothing.

    Args:
        terms: In any order.
        floors: What features declare; the level is never less than any of them.
    """
    heaviest: dict[str, Term] = {}
    for term in terms:
        if term.id not in heaviest or _weight(heaviest[term.id]) < _weight(term):
            heaviest[term.id] = term
    ranked = sorted(map(_cut, heaviest.values()), key=lambda one: (-one.weight, one.id))
    declared = sorted(floors, key=lambda one: (-one.risk.rank, one.feature))
    score = sum(max(one.weight, 0) for one in ranked)
    found = max(level(score), *(one.risk for one in declared), Risk.MINIMAL)
    return Assessment(tuple(ranked[:MOST]), tuple(declared), score, found)


def _cut(term: Term) -> Term:
    """Leave out what nobody reads of names that have no end; two that begin alike stay two."""
    if max(len(term.id), len(term.what), len(term.evidence)) <= _MOST_CHARACTERS:
        return term
    short = term.id[:_MOST_CHARACTERS]
    digest = hashlib.sha256(term.id.encode(errors="replace")).hexdigest()[:16]
    return replace(
        term,
        id=f"{short}…{digest}",
        what=term.what[:_MOST_CHARACTERS],
        evidence=term.evidence[:_MOST_CHARACTERS],
    )


_MOST_CHARACTERS = 400


def _weight(term: Term) -> tuple[int, str, str, bool]:
    return term.weight, term.what, term.evidence, term.known


def terms(surface: Surface) -> Iterator[Term]:
    """All terms of a configuration; what could not be read is a term, too."""
    yield from _unread(surface)
    yield from _of(surface.firewall, network.firewall)
    yield from _of(surface.store, machine.store)
    yield from _of(surface.login, people.login)
    yield from _of(surface.kernel, machine.kernel)
    yield from _each(surface.services, machine.service)
    yield from _each(surface.containers, network.container)
    yield from _each(surface.wrappers, people.wrapper)
    yield from _each(surface.accounts, people.account)
    yield from people.privileged(surface.accounts or {}, surface.groups or {})
    root = (surface.accounts or {}).get("root")
    yield from _of(surface.ssh, lambda one: people.ssh(one, root.keys if root else 0))
    for one in surface.sudo or ():
        yield from people.sudo(one)


_OPTIONS = {
    "firewall": "networking.firewall",
    "services": "systemd.services",
    "accounts": "users.users",
    "groups": "users.groups",
    "ssh": "services.openssh",
    "sudo": "security.sudo",
    "wrappers": "security.wrappers",
    "store": "nix.settings",
    "login": "services.getty",
    "kernel": "boot.kernel",
    "containers": "virtualisation.oci-containers.containers",
}
"""By part, what it is read from."""


def _unread(surface: Surface) -> Iterator[Term]:
    """Parts that are not known, and entries of the others."""
    for name, option in _OPTIONS.items():
        part = getattr(surface, name)
        if part is None:
            why = f": {said[:_LONGEST]}" if (said := surface.failures.get(name)) else ""
            yield unread(name, f"what {option} says{why}", option)
        for key, one in part.items() if isinstance(part, Mapping) else ():
            if one is None:
                yield unread(f"{name}:{key}", f"what {option}.{key} says", f"{option}.{key}")


_LONGEST = 200
"""Characters of why a part is not known: it is one of several things in a sentence."""


def _of(part: T | None, terms_of: Callable[[T], Iterator[Term]]) -> Iterator[Term]:
    return terms_of(part) if part is not None else iter(())


def _each(
    part: Mapping[str, T | None] | None, terms_of: Callable[[str, T], Iterator[Term]]
) -> Iterator[Term]:
    for name, one in (part or {}).items():
        if one is not None:
            yield from terms_of(name, one)


def change(before: Assessment | None, after: Assessment) -> RiskChange:
    """Tell what a deployment adds to a host's risk, and what it takes away."""
    alone = level(after.score)
    declared = tuple(one for one in after.floors if one.risk > alone)
    if before is None:
        said = after.terms[:SAID]
        more = len(after.terms) - len(said)
        return RiskChange(after.level, after.score, raised=said, floors=declared, more=more)
    old = {one.id: one.weight for one in before.terms}
    new = {one.id: one.weight for one in after.terms}
    raised = [one for one in after.terms if old.get(one.id, -1) < one.weight]
    lowered = [one for one in before.terms if new.get(one.id, -1) < one.weight]
    return RiskChange(
        after.level,
        after.score,
        before.level,
        before.score,
        tuple(raised[:SAID]),
        tuple(lowered[:SAID]),
        tuple(one for one in declared if one not in before.floors),
        more=max(len(raised) - SAID, 0),
    )
