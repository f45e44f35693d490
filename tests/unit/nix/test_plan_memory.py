"""How many evaluations fit: never too many by what is known, and all of them in the end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.units import MemoryLimit
from orchestrator.core.values import replace
from orchestrator.nix.memory import (
    ASSUMED,
    GIB,
    LEAST,
    MIB,
    SMALLEST_HEAP,
    Worker,
    budget,
    expected_peak,
    initial_heap,
    may_start,
    to_stop,
)

MACHINE = "this machine"
sizes = st.integers(0, 64 * GIB)
workers = st.builds(Worker, used=sizes)


@given(st.lists(sizes, min_size=1, max_size=40), sizes, st.integers(1, 8), st.data())
def test_all_are_admitted_and_no_more_than_fit(
    needs: list[int], allowed: int, at_once: int, data: st.DataObject
) -> None:
    """Whatever each needs: what runs is within the budget by what is expected, or is one alone."""
    waiting, running, ended, known = list(needs), list[tuple[Worker, int]](), 0, 0
    while waiting or running:
        seen = [worker for worker, _ in running]
        expected = expected_peak(known, seen)
        if (
            waiting
            and len(running) < at_once
            and may_start(seen, allowed, expected, alone=data.draw(st.booleans()))
        ):
            running.append((Worker(), waiting.pop()))
            total = sum(max(worker.used, expected) for worker, _ in running)
            assert len(running) == 1 or total <= allowed
        else:
            assert running, "with nothing running, one may always start"
            _, need = running.pop(data.draw(st.integers(0, len(running) - 1)))
            known, ended = max(known, need), ended + 1
            running = [(Worker(data.draw(st.integers(0, n))), n) for _, n in running]
    assert ended == len(needs)


@given(st.lists(workers, min_size=1), sizes, sizes)
def test_by_itself_means_by_itself(running: list[Worker], allowed: int, expected: int) -> None:
    """What must run alone waits for all others; while it runs, all others wait."""
    assert not may_start(running, allowed, expected, alone=True)
    alone = [replace(running[0], alone=True), *running[1:]]
    assert not may_start(alone, allowed, expected, alone=False)


def test_two_start_at_once_on_an_ordinary_machine() -> None:
    """With nothing known, 24 GiB need not be filled one after the other; 1 GiB must."""
    expected = expected_peak(0, [Worker()])
    assert may_start([Worker()], 24 * GIB, expected, alone=False)
    assert not may_start([Worker()], GIB, expected, alone=False)


@pytest.mark.parametrize(
    ("known", "used", "expected"),
    [
        (0, 0, ASSUMED),
        (0, 5 * GIB, 5 * GIB),
        (20 * GIB, 0, 21 * GIB),
        (10 * MIB, 0, LEAST),
        (GIB, 3 * GIB, 3 * GIB),
    ],
)
def test_what_is_expected(known: int, used: int, expected: int) -> None:
    """What was seen and a twentieth; at least what one takes now; a cached answer says nothing."""
    assert expected_peak(known, [Worker(MIB), Worker(used)]) == expected


@given(st.lists(workers), sizes)
def test_the_youngest_is_stopped_and_never_the_last(running: list[Worker], allowed: int) -> None:
    """Only where all take more than they may, and there is another."""
    over = sum(worker.used for worker in running) > allowed
    chosen = to_stop(running, allowed)
    assert chosen == (len(running) - 1 if over and len(running) > 1 else None)


def test_one_is_stopped_at_a_time() -> None:
    """What was told to stop holds its memory for a moment; that is no reason to stop another."""
    running = [Worker(GIB), Worker(GIB), Worker(GIB, stopped=True)]
    assert to_stop(running, MIB) is None


def test_the_tightest_room_counts() -> None:
    """Of the machine and its control groups; what runs is added, and a little is left free."""
    rooms = (MemoryLimit(20 * GIB, MACHINE), MemoryLimit(GIB, "the control group /ci"))
    found = budget(rooms, used=GIB, limit=None)
    assert found == MemoryLimit(2 * GIB - 256 * MIB, "the control group /ci")


def test_a_persons_limit_counts_where_it_is_tighter() -> None:
    """A person's limit on memory counts only where it is tighter than the machine's."""
    room = (MemoryLimit(10 * GIB, MACHINE),)
    assert budget(room, 0, MemoryLimit(3 * GIB, "the inventory")) == MemoryLimit(
        3 * GIB, "the inventory"
    )
    assert budget(room, 0, MemoryLimit(99 * GIB, "the inventory")).source == MACHINE


@given(st.integers(-GIB, GIB), st.integers(0, GIB))
def test_a_budget_is_never_negative(free: int, used: int) -> None:
    """A budget of memory is never negative, nor more than there is."""
    found = budget((MemoryLimit(free, MACHINE),), used, None)
    assert 0 <= found.size <= max(0, free) + used


@given(sizes, st.integers(1, 512))
def test_the_heap_fits_its_share(allowed: int, at_once: int) -> None:
    """A quarter of a worker's share at the most, except that Nix needs some heap."""
    heap = initial_heap(allowed, at_once)
    assert SMALLEST_HEAP <= heap <= max(SMALLEST_HEAP, min(2 * GIB, allowed // at_once // 4))
