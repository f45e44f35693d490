"""Which fault strikes when: by the seed and the round's number alone, to be repeated."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from tests.lab.faults.campaign.catalogue import FAULTS, SECONDS, Fault

COLUMNS = {
    "before": ("connect", "preflight"),
    "copy": ("copy",),
    "activate": ("activate",),
    "prove": ("prove",),
    "verify": ("verify",),
    "commit": ("confirm", "commit"),
}
"""The phases of the table, and those of ``phases.py`` that are held open for them."""

ROUNDS = 45
"""Rounds of a seed: ten seeds in a row play each cell three times and more."""

AT_LEAST = 3
_STEP = 53  # no divisor of the number of cells: neighbours have another fault and another phase
_SAID = {
    "wait": "before",
    "evaluate": "before",
    "ask": "before",
    "build": "before",
    "preflight": "before",
}


def column_of(phase: str) -> str:
    """The table's column for a phase that a deployer says it is in."""
    return _SAID.get(phase, phase)


@dataclass(frozen=True, slots=True)
class Round:
    """One deployment, and what strikes it.

    Attributes:
        seed: The campaign's seed.
        number: From 0.
        fault: Which fault.
        column: The column that is aimed at.
        phase: The phase of it that is held open.
        held: Whether the fault strikes while it is held; else soon after it goes on.
        delay: Seconds until the fault strikes.
        second: Another fault that strikes meanwhile, if any.
        second_delay: Seconds from the first one to that.
    """

    seed: int
    number: int
    fault: Fault
    column: str
    phase: str
    held: bool
    delay: float
    second: Fault | None
    second_delay: float

    @property
    def chance(self) -> random.Random:
        """For whatever else is left to chance in it."""
        return random.Random(f"{self.seed}/{self.number}/more")  # noqa: S311


def cells() -> list[tuple[str, str]]:
    """Every fault in every column where it makes sense."""
    return [(name, column) for name, f in FAULTS.items() for column in COLUMNS if f.fits(column)]


def plan(seed: int, number: int) -> Round:
    """A round by its seed and number."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311
    every = cells()
    name, column = every[(seed * ROUNDS + number) * _STEP % len(every)]
    fault = FAULTS[name]
    held = number >= ROUNDS or chance.random() < 0.8
    return Round(
        seed=seed,
        number=number,
        fault=fault,
        column=column,
        phase=chance.choice(COLUMNS[column]),
        held=held,
        delay=chance.uniform(0, 0.5),
        second=_second(fault, column, chance),
        second_delay=chance.uniform(0.05, 2.0),
    )


def _second(fault: Fault, column: str, chance: random.Random) -> Fault | None:
    if chance.random() >= 0.25:
        return None
    fitting = [FAULTS[n] for n in SECONDS if n in fault.bears and FAULTS[n].fits(column)]
    return chance.choice(fitting) if fitting else None


def further(column: str, fault: str, seed: int) -> Iterator[Round]:
    """Rounds of a seed, after those that it plays anyhow, that aim at a cell; all of them held."""
    for number in range(ROUNDS, 100 * ROUNDS):
        one = plan(seed, number)
        if one.column == column and one.fault.name == fault:
            yield one
