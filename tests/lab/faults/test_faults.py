"""A part of the fault suite that stands for the whole: each fault once, each phase once.

``just fault-test`` plays all of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.core.values import replace
from tests.lab.faults import judge, suite
from tests.lab.faults.ground import Ground
from tests.lab.faults.judge import Systems
from tests.lab.faults.observe import Seen

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
    "activation-drops-in-a-queue@prove",
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


@pytest.mark.rotating
@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_the_host_and_the_report_are_as_they_must_be(ground: Ground, name: str) -> None:
    """A host runs the old or the new system, wholly; the report says which; the next run works."""
    (case,) = suite.matching([name])
    result = suite.run(ground, case)
    assert not result.wrong, "\n".join(result.wrong)


OLD, NEW = "/nix/store/old", "/nix/store/new"
WHOLE = Seen(OLD, OLD, OLD, frozenset({"system-1-link old"}), (), (), False, "done", "1-a")


@pytest.mark.parametrize(
    "now",
    [
        replace(WHOLE, running=NEW),
        replace(WHOLE, boot_default=NEW),
        replace(WHOLE, running="/x", profile="/x", boot_default="/x"),
        replace(WHOLE, generations=frozenset()),
        replace(WHOLE, left=("orchestrator-guard-1-a.service",)),
        replace(WHOLE, stray=("/var/lib/orchestrator/room",), token="1-b"),
        replace(WHOLE, attempt="stuck"),
    ],
)
def test_the_judge_finds_what_is_wrong_with_a_host(now: Seen) -> None:
    """Each demand on a host can fail; a host that is whole meets all."""
    systems = Systems(OLD, NEW)
    assert judge.of_host(WHOLE, WHOLE, systems) == []
    assert len(judge.of_host(WHOLE, now, systems)) == 1


def test_a_pattern_that_names_no_case_is_told() -> None:
    """A misspelt case is not a suite without failures."""
    with pytest.raises(ValueError, match="no case"):
        suite.matching(["power-cut@actvate"])
