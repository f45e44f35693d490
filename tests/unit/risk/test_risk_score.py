"""The score of terms, its level, and what a change of them is called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.risk import Floor, Risk, Term
from orchestrator.core.values import replace
from orchestrator.risk.plan import score

TERM = st.builds(
    Term,
    id=st.sampled_from("abcdefgh"),
    what=st.sampled_from(("opens a port", "runs as root")),
    weight=st.integers(0, 120),
    evidence=st.just("option"),
)
TERMS = st.lists(TERM, max_size=12)
FLOORS = st.lists(
    st.builds(Floor, st.sampled_from("xyz"), st.sampled_from(Risk)),
    max_size=3,
    unique_by=lambda floor: floor.feature,
)


@given(TERMS.flatmap(lambda them: st.tuples(st.just(them), st.permutations(them))), FLOORS)
def test_the_order_of_terms_counts_for_nothing(
    orders: tuple[list[Term], list[Term]], floors: list[Floor]
) -> None:
    """The same terms give the same assessment, however they came."""
    one, other = orders
    assert score.assess(one, floors) == score.assess(other, floors[::-1])


@given(TERMS, TERM, FLOORS)
def test_a_term_more_is_never_less_risk(terms: list[Term], more: Term, floors: list[Floor]) -> None:
    """Whatever is added, score and level stay or rise."""
    before, after = score.assess(terms, floors), score.assess([*terms, more], floors)
    assert after.score >= before.score
    assert after.level >= before.level


@given(TERMS, FLOORS)
def test_a_declared_level_is_a_floor(terms: list[Term], floors: list[Floor]) -> None:
    """The level is never less than what a feature declares, nor than what the terms give."""
    found = score.assess(terms, floors)
    assert found.level == max([score.level(found.score), *(one.risk for one in floors)])


@given(TERMS, TERMS)
def test_what_is_raised_and_lowered_explains_the_difference(
    one: list[Term], other: list[Term]
) -> None:
    """Where neither more nor less of any term is there, the scores are equal."""
    before, after = score.assess(one), score.assess(other)
    change = score.change(before, after)
    assert (change.before, change.after) == (before.level, after.level)
    if not change.raised and not change.lowered:
        assert before.score == after.score
    if not change.raised:
        assert after.score <= before.score


@pytest.mark.parametrize(
    ("points", "level"),
    [
        (0, Risk.MINIMAL),
        (9, Risk.MINIMAL),
        (10, Risk.LOW),
        (24, Risk.LOW),
        (25, Risk.MODERATE),
        (49, Risk.MODERATE),
        (50, Risk.HIGH),
        (99, Risk.HIGH),
        (100, Risk.CRITICAL),
    ],
)
def test_levels_begin_where_the_documentation_says(points: int, level: Risk) -> None:
    """Each level takes about twice the points of the one below it."""
    assert score.level(points) is level


PORT = Term("port", "opens 8096/tcp to everybody", 5, "o")
ROOT = Term("root", "plex runs as root without hardening", 10, "o")
OLD = Term("old", "opens 80/tcp to everybody", 45, "o")


def test_a_change_is_one_sentence() -> None:
    """Levels, what comes with the heaviest first, what goes; and what is not known."""
    before = score.assess([OLD])
    assert str(score.change(before, score.assess([OLD, PORT, ROOT]))) == (
        "risk moderate → high: plex runs as root without hardening, opens 8096/tcp to everybody"
    )
    assert str(score.change(before, score.assess([PORT]))) == (
        "risk moderate → minimal: opens 8096/tcp to everybody; no more: opens 80/tcp to everybody"
    )
    assert str(score.change(before, before)) == "risk moderate, as before"
    assert str(score.change(None, score.assess([PORT]))) == (
        "risk minimal: opens 8096/tcp to everybody; the risk of what runs is not known from here"
    )


def test_a_feature_that_declares_more_than_the_terms_is_named() -> None:
    """A floor is told once: when it comes, and not in each deployment afterwards."""
    floor = Floor("vfio", Risk.HIGH, "a guest has the card")
    plain, declared = score.assess([PORT]), score.assess([PORT], [floor])
    assert str(score.change(plain, declared)) == (
        "risk minimal → high: feature vfio is declared high"
    )
    assert str(score.change(declared, declared)) == "risk high, as before"


def test_a_term_that_weighs_more_is_raised_and_one_that_weighs_less_is_lowered() -> None:
    """The same thing at another weight is a change, too."""
    heavier = replace(PORT, weight=10)
    change = score.change(score.assess([PORT]), score.assess([heavier]))
    assert (change.raised, change.lowered) == ((heavier,), ())
    change = score.change(score.assess([heavier]), score.assess([PORT]))
    assert (change.raised, change.lowered) == ((), (heavier,))


def test_names_without_an_end_are_cut_and_stay_apart() -> None:
    """A configuration may name things as it likes; a report has room for what a person reads."""
    long = [Term("x" * 5000 + end, "y" * 5000, 5, "z" * 5000) for end in "ab"]
    found = score.assess(long)
    assert found.score == 10
    assert len({one.id for one in found.terms}) == 2
    assert all(len(one.id + one.what + one.evidence) < 1300 for one in found.terms)


def test_a_sentence_names_a_few_and_counts_the_rest() -> None:
    """Of many terms five are named; a report keeps twenty."""
    many = [Term(f"t{number:02}", f"thing {number:02}", 1, "o") for number in range(30)]
    change = score.change(None, score.assess(many))
    assert len(change.raised) == 20
    assert "thing 04, and 25 more" in str(change)
