"""Outcomes and the exit code that they fold into."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.outcome import (
    Completed,
    Deferred,
    Deployed,
    Failed,
    Outcome,
    Problem,
    RolledBack,
    Skipped,
    Unchanged,
    Unreached,
    outcome_name,
)
from orchestrator.core.plan import Goal
from orchestrator.core.run import HostResult, Report, Run, exit_code
from orchestrator.core.store import OutPath
from orchestrator.core.stored import decode, encode
from orchestrator.core.values import replace

OUT = OutPath("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-system")
ERROR = Problem("activate", "it broke")
REFUSAL = Problem("check", "it would break", refused=True)

CODES: tuple[tuple[Outcome, int], ...] = (
    (Unchanged("same", OUT), 0),
    (Deployed("new", OUT, Goal.SWITCH), 0),
    (Completed("built", OUT, Goal.BUILD), 0),
    (Deferred("unreachable"), 3),
    (Failed("refused", REFUSAL), 4),
    (Failed("broke", ERROR), 1),
    (RolledBack("broke", OUT, ERROR), 1),
    (Unreached("broke", ERROR, OUT), 1),
    (Skipped("not tried"), 1),
)
PRECEDENCE = (1, 4, 3, 0)


def report(outcomes: Sequence[Outcome], *, interrupted: bool = False) -> Report:
    """A report of a run with these outcomes."""
    run = Run(1, "/run", "me@here", None, datetime(2024, 1, 1, tzinfo=UTC))
    results = {f"h{n}": HostResult(outcome, 1.0) for n, outcome in enumerate(outcomes)}
    return Report(run, Goal.SWITCH, False, results, 1.0, interrupted)


def test_every_outcome_has_a_name_of_its_own() -> None:
    """By which reports and files tell which one of the union it is; files find it by that again."""
    outcomes = {outcome_name(outcome): outcome for outcome, _ in CODES}
    assert {type(outcome) for outcome in outcomes.values()} == set(get_args(Outcome))
    for name, outcome in outcomes.items():
        stored = encode(HostResult(outcome, 1.0))
        assert f'"outcome":"{name}"'.encode() in stored
        assert decode(HostResult, stored) == HostResult(outcome, 1.0)


def test_an_outcome_changes_by_its_own_method() -> None:
    """An outcome that is changed stays of its kind, and what is not named stays as it was."""
    lost = replace(Unreached("broke", ERROR, OUT), reason="lost")
    assert lost == Unreached("lost", ERROR, OUT)
    with pytest.raises(AttributeError):
        lost.reason = "other"  # type: ignore[misc]


@pytest.mark.parametrize(("outcome", "code"), CODES)
def test_one_outcome_has_its_code(outcome: Outcome, code: int) -> None:
    """Each outcome alone gives the code that ``docs/exit-codes.md`` promises."""
    assert exit_code([outcome]) == code
    assert report([outcome]).exit_code == code


def test_no_outcome_is_success() -> None:
    """A run without any outcome exits with 0: nothing to do is done."""
    assert exit_code(()) == 0


@pytest.mark.parametrize(
    ("first", "second"), [*itertools.product((pair for pair in CODES), repeat=2)]
)
def test_the_worse_code_wins(first: tuple[Outcome, int], second: tuple[Outcome, int]) -> None:
    """A failure goes before a refusal, that before a deferral, that before success."""
    worse = min(first[1], second[1], key=PRECEDENCE.index)
    assert exit_code([first[0], second[0]]) == worse


@given(st.lists(st.sampled_from(CODES)))
def test_an_interrupted_run_exits_with_130(pairs: list[tuple[Outcome, int]]) -> None:
    """Whatever became of its hosts; and without the interruption the worst of them counts."""
    outcomes = [outcome for outcome, _ in pairs]
    assert report(outcomes, interrupted=True).exit_code == 130
    worst = min((code for _, code in pairs), key=PRECEDENCE.index, default=0)
    assert report(outcomes).exit_code == worst


def test_the_order_of_hosts_does_not_count() -> None:
    """Every order of all outcomes together is a failure."""
    outcomes = [outcome for outcome, _ in CODES]
    assert exit_code(outcomes) == exit_code(reversed(outcomes)) == 1
