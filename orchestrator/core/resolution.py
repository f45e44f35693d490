"""What features require of each other, and why a host has one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from orchestrator.core.catalogue import Feature

Chain = tuple[str, ...]
"""From a feature that is given, by what each requires: ``(web-dashboard, monitoring)``."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two features that a host cannot have at once, and how it comes to each.

    Attributes:
        group: The group that both are of; ``None`` where one of them names the other.
    """

    one: Chain
    other: Chain
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a host has, and why.

    Attributes:
        chains: By name; what a feature requires stands before it. The chain of one that is given
            is that feature alone; else it is the shortest there is.
        conflicts: Those among them.
        refused: The chains that end at a feature which is removed.
    """

    chains: Mapping[str, Chain]
    conflicts: tuple[Conflict, ...] = ()
    refused: tuple[Chain, ...] = ()


def resolve(
    catalogue: Mapping[str, Feature], given: Sequence[str], removed: Iterable[str] = ()
) -> Resolution:
    """Add what is required. Which features come of it, and why, does not depend on the order.

    Args:
        catalogue: By name; every name that is required or given is in it, and there is no cycle.
        given: The features that the inventory names for a host.
        removed: Those that it must not have.
    """
    chains = _chains(catalogue, given)
    ordered = {name: chains[name] for name in _ordered(catalogue, given)}
    refused = (chains[name] for name in sorted(set(removed)) if name in chains)
    return Resolution(ordered, tuple(_conflicts(catalogue, ordered)), tuple(refused))


def _chains(catalogue: Mapping[str, Feature], given: Iterable[str]) -> dict[str, Chain]:
    """Find the shortest chain to each feature; of equally short ones the first by name."""
    chains: dict[str, Chain] = {name: (name,) for name in sorted(given)}
    waiting = deque(chains)
    while waiting:
        name = waiting.popleft()
        for required in sorted(catalogue[name].requires):
            if required not in chains:
                chains[required] = (*chains[name], required)
                waiting.append(required)
    return chains


def _ordered(catalogue: Mapping[str, Feature], given: Iterable[str]) -> Iterator[str]:
    """Walk from each given feature; what it requires comes before it."""
    done: set[str] = set()
    for start in given:
        open_: list[tuple[str, Iterator[str]]] = [("", iter((start,)))]
        while open_:
            name, required = open_[-1]
            if (below := next((one for one in required if one not in done), None)) is not None:
                done.add(below)
                open_.append((below, iter(catalogue[below].requires)))
                continue
            open_.pop()
            if name:
                yield name


def _conflicts(catalogue: Mapping[str, Feature], chains: Mapping[str, Chain]) -> Iterator[Conflict]:
    names = sorted(chains)
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            group = catalogue[one].one_of
            if other in catalogue[one].conflicts or one in catalogue[other].conflicts:
                yield Conflict(chains[one], chains[other])
            elif group is not None and group == catalogue[other].one_of:
                yield Conflict(chains[one], chains[other], group)


MOST_CYCLES = 20
"""More than so many help nobody."""


def cycles(requires: Mapping[str, Iterable[str]]) -> tuple[Chain, ...]:
    """Find what requires itself, by whatever chain: one feature stands at both ends of it."""
    left = {name: set(names) for name, names in sorted(requires.items())}
    found: list[Chain] = []
    while len(found) < MOST_CYCLES:
        try:
            TopologicalSorter({name: sorted(names) for name, names in left.items()}).prepare()
        except CycleError as error:
            circle: list[str] = error.args[1][:0:-1]
            first = circle.index(min(circle))
            circle = [*circle[first:], *circle[:first]]
            found.append((*circle, circle[0]))
            left[circle[-1]].discard(circle[0])
        else:
            break
    return tuple(found)
