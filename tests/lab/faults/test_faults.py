"""A part of the fault suite that stands for the whole: each fault once, each phase once.

``just fault-test`` plays all of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.faults import random_test, suite
from tests.lab.faults.ground import Ground

pytestmark = pytest.mark.lab

REPRESENTATIVE = (
    "connection-killed@connect",
    "power-cut@preflight",
    "lossy@copy",
    "disk-full@copy",
    "partition-returns@activate",
    "power-cut@activate",
    "frozen-thaws@prove",
    "memory-full@activate",
    "deployer-killed@verify",
    "partition-returns@confirm",
    "power-cut@commit",
    "activation-cuts-network@prove",
    "activation-breaks-sudo@prove",
    "activation-hangs@activate",
    "verification-flaps@verify",
    "second-deployer@activate",
    "database-corrupt@connect",
    "deployer-disk-fills@activate",
)
"""Those that take long because they wait for every deadline are left to the whole suite."""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """One host in a lab of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_LAB_HOME", str(tmp_path_factory.mktemp("labs")))
        with suite.ground_of_its_own() as made:
            yield made


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_the_host_and_the_report_are_as_they_must_be(ground: Ground, name: str) -> None:
    """It runs the new or the old system, wholly; the report says which; the next run succeeds."""
    (case,) = suite.matching([name])
    result = suite.run(ground, case)
    assert not result.wrong, "\n".join(result.wrong)


def test_a_seed_makes_the_same_rounds_again() -> None:
    """A failure of the random test can be repeated from what it printed."""
    again = [random_test.rounds(7)(number) for number in range(20)]
    assert [random_test.rounds(7)(number) for number in range(20)] == again
    assert [random_test.rounds(8)(number) for number in range(20)] != again


def test_a_pattern_that_names_no_case_is_told() -> None:
    """A misspelt case is not a suite without failures."""
    with pytest.raises(ValueError, match="no case"):
        suite.matching(["power-cut@actvate"])
