"""Check what needs the whole inventory: that names are declared, and that none extends itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.inventory.kinds import Reading, Reference
from orchestrator.inventory.mistake import Mistakes, one_of, quoted
from orchestrator.inventory.suites import SECTION as SUITES
from orchestrator.inventory.tree import Fields, Leaf

# A longer chain is no inheritance that anyone could follow.
MAX_CHAIN = 16


def check_references(sections: Fields, reading: Reading) -> None:
    """Note names that no section declares."""
    for reference in reading.references:
        if reference.section == SUITES:
            continue
        declared = sections.get(reference.section).keys
        if not reference.name:
            _check_only(reference, declared, reading.mistakes)
        elif reference.name not in declared:
            what = reference.section.removesuffix("s")
            reading.mistakes.add(
                reference.place,
                f"the unknown {what} {quoted(reference.name)}",
                one_of(declared, f"one declared under {reference.section}, where there is none"),
                meant=(reference.name, declared),
            )


def _check_only(reference: Reference, declared: Iterable[str], mistakes: Mistakes) -> None:
    """Note a ``true`` that does not say which one is meant."""
    names = list(declared)
    if not names:
        expected = f"one declared under {reference.section}, where there is none"
        mistakes.add(reference.place, "true", expected)
    elif len(names) > 1:
        found = f"true, where there are {len(names)} {reference.section}"
        mistakes.add(reference.place, found, one_of(names))


def check_extends(sections: Fields, mistakes: Mistakes) -> None:
    """Note each cycle of ``extends`` once, and chains that are too long."""
    for section in ("templates", "profiles"):
        entries = sections.get(section).entries
        parents = {n: t.leaf("extends") for n, t in entries.items() if isinstance(t, Fields)}
        told: set[str] = set()
        for name in parents:
            _walk_up(name, parents, told, mistakes)


def _walk_up(
    name: str, parents: Mapping[str, Leaf | None], told: set[str], mistakes: Mistakes
) -> None:
    way: dict[str, Leaf] = {}
    while name not in told and (parent := parents.get(name)) is not None:
        if name in way:
            names = list(way)[list(way).index(name) :]
            told.update(names)
            found = f"a cycle: {' → '.join(quoted(n) for n in [*names, name])}"
            _note(way[name], found, "an end to what extends what", mistakes)
            return
        way[name] = parent
        if len(way) > MAX_CHAIN:
            told.add(name)
            _note(parent, f"a chain of more than {MAX_CHAIN}", "less inheritance", mistakes)
            return
        name = str(parent.value)


def chain(name: str, entries: Mapping[str, object]) -> list[str]:
    """``name`` and what it extends, the furthest first."""
    names = [name]
    while (
        isinstance(tree := entries.get(names[-1]), Fields)
        and (parent := tree.leaf("extends")) is not None
    ):
        names.append(str(parent.value))
    return names[::-1]


def _note(leaf: Leaf, found: str, expected: str, mistakes: Mistakes) -> None:
    assert leaf.origin.place is not None
    mistakes.add(leaf.origin.place, found, expected)
