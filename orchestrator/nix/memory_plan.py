"""How many evaluations fit into the memory there is: rules over figures that were measured.

All sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.core.memory import Room

MIB = 1024**2
GIB = 1024**3

ASSUMED = 1280 * MIB
"""What an evaluation is expected to need while none has been seen to its end."""

LEAST = 512 * MIB
"""What one is expected to need at least: an answer from Nix's cache says little of the next."""

_RESERVE = 256 * MIB
SMALLEST_HEAP = 64 * MIB
"""Nix's heap from the start, where memory is short."""

_LARGEST_HEAP = 2 * GIB


@dataclass(frozen=True, slots=True)
class Worker:
    """An evaluation under way.

    Attributes:
        used: What it takes now.
        alone: Whether nothing may run beside it.
        stopped: Whether it was told to stop, and still holds its memory.
    """

    used: int = 0
    alone: bool = False
    stopped: bool = False


def budget(rooms: Sequence[Room], used: int, limit: Room | None) -> Room:
    """Say what evaluations may take: the tightest of what is measured and what a person allows.

    Args:
        rooms: What is free now, each source for itself.
        used: What the evaluations take now; it is in none of the rooms.
        limit: What a person set.
    """
    tightest = min(rooms, key=lambda room: room.size)
    whole = max(0, tightest.size) + used
    measured = Room(whole - min(_RESERVE, whole // 8), tightest.source)
    return min(measured, limit, key=lambda one: one.size) if limit else measured


def expected_peak(known: int, running: Sequence[Worker]) -> int:
    """Say what one evaluation is expected to need at its highest.

    Little is added to the highest peak: not all peaks are as high, nor at the same moment, and
    one that passes the budget is stopped.

    Args:
        known: The highest peak of one that came to its end; 0 where none has.
        running: They show at least what they take now.
    """
    learned = known + known // 20 if known else ASSUMED
    return max((LEAST, learned, *(worker.used for worker in running)))


def may_start(running: Sequence[Worker], allowed: int, expected: int, *, alone: bool) -> bool:
    """Whether one more evaluation may start.

    One by itself always may: what does not fit alone is found out by trying.
    """
    if not running:
        return True
    if alone or any(worker.alone for worker in running):
        return False
    return sum(max(worker.used, expected) for worker in running) + expected <= allowed


def to_stop(running: Sequence[Worker], allowed: int) -> int | None:
    """Choose the evaluation to stop where all take more than they may; never the last one.

    Args:
        running: The oldest first.
        allowed: What they may take together.

    Returns:
        Which: the youngest. ``None`` while one that was told to stop still holds its memory.
    """
    if len(running) < 2 or any(worker.stopped for worker in running):
        return None
    return len(running) - 1 if sum(worker.used for worker in running) > allowed else None


def initial_heap(allowed: int, at_once: int) -> int:
    """Say how large Nix's heap should be from the start.

    A heap that is large at once saves collections while it grows. What it takes must not keep
    others out, so it is a quarter of a worker's share, and it is taken only as far as it is used.

    Args:
        allowed: What all may take together.
        at_once: How many may run.
    """
    return max(SMALLEST_HEAP, min(_LARGEST_HEAP, allowed // at_once // 4))
