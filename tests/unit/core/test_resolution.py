"""What features require of each other, resolved: promises for every catalogue there could be."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.catalogue import Feature
from orchestrator.core.resolution import MOST_CYCLES, Conflict, cycles, resolve

NAMES = [f"f{n}" for n in range(8)]
CONFLICTING = st.frozensets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=4)
GROUPS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from("ab"), max_size=4)


@st.composite
def catalogues(draw: st.DrawFn) -> dict[str, Feature]:
    """Features of which each requires some of those before it, and conflicts with some."""
    pairs, groups = draw(CONFLICTING), draw(GROUPS)
    made = {}
    for index, name in enumerate(NAMES):
        requires = draw(st.lists(st.sampled_from(NAMES[:index]), unique=True)) if index else []
        conflicts = tuple(other for one, other in sorted(pairs) if one == name != other)
        made[name] = Feature(
            name, requires=tuple(requires), conflicts=conflicts, one_of=groups.get(name)
        )
    return made


CHOSEN = st.lists(st.sampled_from(NAMES), unique=True)


@given(catalogues(), CHOSEN, st.randoms(use_true_random=False))
def test_the_order_does_not_matter(
    catalogue: dict[str, Feature], chosen: list[str], random: object
) -> None:
    """In whatever order features are named, the same ones come of it, for the same reasons."""
    shuffled = sorted(chosen, key=lambda _: random.random())  # type: ignore[attr-defined]
    one, other = resolve(catalogue, chosen), resolve(catalogue, shuffled)
    assert one.chains == other.chains
    assert one.conflicts == other.conflicts


@given(catalogues(), CHOSEN)
def test_once_is_enough(catalogue: dict[str, Feature], chosen: list[str]) -> None:
    """Who names what comes of it gets the same list, in the same order."""
    names = list(resolve(catalogue, chosen).chains)
    assert list(resolve(catalogue, names).chains) == names


@given(catalogues(), CHOSEN)
def test_every_feature_has_a_reason(catalogue: dict[str, Feature], chosen: list[str]) -> None:
    """Each chain begins at a named feature and goes by requirements; none is shorter."""
    chains = resolve(catalogue, chosen).chains
    for name, chain in chains.items():
        assert chain[-1] == name
        assert chain[0] in chosen
        for one, required in pairwise(chain):
            assert required in catalogue[one].requires
        assert (len(chain) == 1) == (name in chosen)


@given(catalogues(), CHOSEN)
def test_what_is_required_is_there_and_before(
    catalogue: dict[str, Feature], chosen: list[str]
) -> None:
    """Nothing that a feature requires is missing, or stands behind it; nothing else is there."""
    names = list(resolve(catalogue, chosen).chains)
    for index, name in enumerate(names):
        assert set(catalogue[name].requires) <= set(names[:index])
    assert set(names) == _closure(catalogue, chosen)


def _closure(catalogue: Mapping[str, Feature], chosen: list[str]) -> set[str]:
    found: set[str] = set()
    left = list(chosen)
    while left:
        name = left.pop()
        found.add(name)
        left += [one for one in catalogue[name].requires if one not in found]
    return found


@given(catalogues(), CHOSEN)
def test_no_conflict_survives(catalogue: dict[str, Feature], chosen: list[str]) -> None:
    """Each pair that must not be together is found, whoever of the two says so; no other is."""
    resolution = resolve(catalogue, chosen)
    names = sorted(resolution.chains)
    expected = {
        (one, other)
        for one in names
        for other in names
        if one < other
        and (
            other in catalogue[one].conflicts
            or one in catalogue[other].conflicts
            or (catalogue[one].one_of or one) == catalogue[other].one_of
        )
    }
    assert {(c.one[-1], c.other[-1]) for c in resolution.conflicts} == expected


@given(catalogues(), CHOSEN, CHOSEN)
def test_what_is_removed_and_required_is_found(
    catalogue: dict[str, Feature], chosen: list[str], removed: list[str]
) -> None:
    """Each removed feature that comes nevertheless is found, with its chain."""
    resolution = resolve(catalogue, chosen, removed)
    assert {chain[-1] for chain in resolution.refused} == set(removed) & set(resolution.chains)


def test_a_group_is_named_in_its_conflict() -> None:
    """Two of one group conflict by that; where one names the other, that is why."""
    catalogue = {
        "gnome": Feature("gnome", one_of="desktop"),
        "plasma": Feature("plasma", one_of="desktop", conflicts=("sway",)),
        "sway": Feature("sway", one_of="desktop"),
    }
    assert resolve(catalogue, ["sway", "plasma", "gnome"]).conflicts == (
        Conflict(("gnome",), ("plasma",), "desktop"),
        Conflict(("gnome",), ("sway",), "desktop"),
        Conflict(("plasma",), ("sway",)),
    )


REQUIRES = st.dictionaries(
    st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), unique=True), max_size=8
)


@given(REQUIRES)
def test_cycles_are_found(requires: dict[str, list[str]]) -> None:
    """What is found goes round by requirements; without its last steps nothing goes round."""
    found = cycles(requires)
    left = {name: set(names) for name, names in requires.items()}
    for circle in found:
        assert circle[0] == circle[-1] == min(circle)
        for one, required in pairwise(circle):
            assert required in requires[one]
        left[circle[-2]].discard(circle[-1])
    acyclic = not any(name in _closure_of(left, left[name]) for name in left)
    assert acyclic or len(found) == MOST_CYCLES


def _closure_of(requires: Mapping[str, set[str]], names: set[str]) -> set[str]:
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += requires.get(name, ())
    return found


def test_a_long_chain_is_no_trouble() -> None:
    """Thousands of features that require each other in a row are resolved, and cycles found."""
    many = 5000
    catalogue = {
        f"n{n}": Feature(f"n{n}", requires=(f"n{n + 1}",) if n < many else ())
        for n in range(many + 1)
    }
    assert len(resolve(catalogue, ["n0"]).chains) == many + 1
    assert cycles({name: one.requires for name, one in catalogue.items()}) == ()
