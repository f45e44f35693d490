"""The score of a configuration, its level, and how it differs from another's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from orchestrator.core.risk import Assessment, Floor, Risk, RiskChange, Term
from orchestrator.risk.model import Account, Ssh, Surface
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
    ranked = sorted(heaviest.values(), key=lambda one: (-one.weight, one.id))
    declared = sorted(floors, key=lambda one: (-one.risk.rank, one.feature))
    score = sum(max(one.weight, 0) for one in ranked)
    found = max(level(score), *(one.risk for one in declared), Risk.MINIMAL)
    return Assessment(tuple(ranked[:MOST]), tuple(declared), score, found)


def _weight(term: Term) -> tuple[int, str, str, bool]:
    return term.weight, term.what, term.evidence, term.known


def terms(surface: Surface) -> Iterator[Term]:
    """All terms of a configuration; what could not be read is a term, too."""
    yield from _part("firewall", "networking.firewall", surface.firewall, network.firewall)
    yield from _each("services", "systemd.services", surface.services, machine.service)
    yield from _people(surface)
    for one in surface.sudo or ():
        yield from people.sudo(one)
    if surface.sudo is None:
        yield unread("sudo", "who becomes root by sudo", "security.sudo")
    yield from _each("wrappers", "security.wrappers", surface.wrappers, people.wrapper)
    yield from _part("store", "nix.settings", surface.store, machine.store)
    yield from _part("login", "services.getty", surface.login, people.login)
    yield from _part("kernel", "boot.kernel", surface.kernel, machine.kernel)
    containers = "virtualisation.oci-containers.containers"
    yield from _each("containers", containers, surface.containers, network.container)


def _people(surface: Surface) -> Iterator[Term]:
    accounts, groups = surface.accounts, surface.groups
    root = accounts.get("root") if accounts else None

    def of(name: str, one: Account) -> Iterator[Term]:
        return people.account(name, one, root=name == "root")

    yield from _each("accounts", "users.users", accounts, of)
    if groups is None:
        yield unread("groups", "who is in which group", "users.groups")
    yield from people.privileged(accounts or {}, groups or {})

    def ssh(one: Ssh) -> Iterator[Term]:
        return people.ssh(one, root.keys if root else 0)

    yield from _part("ssh", "services.openssh", surface.ssh, ssh)


def _part(
    name: str, option: str, part: T | None, of: Callable[[T], Iterator[Term]]
) -> Iterator[Term]:
    if part is None:
        yield unread(name, f"what {option} says", option)
    else:
        yield from of(part)


def _each(
    name: str,
    option: str,
    part: Mapping[str, T | None] | None,
    of: Callable[[str, T], Iterator[Term]],
) -> Iterator[Term]:
    if part is None:
        yield unread(name, f"what {option} says", option)
        return
    for key, one in part.items():
        if one is None:
            yield unread(f"{name}:{key}", f"what {option}.{key} says", f"{option}.{key}")
        else:
            yield from of(key, one)


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
