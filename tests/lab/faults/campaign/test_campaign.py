"""The campaign's plan and counts; and a few of its rounds, played.

``just fault-test --campaign`` plays all of it.
"""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from orchestrator.core.values import replace
from tests.lab.faults.campaign import counts, oracle
from tests.lab.faults.campaign.catalogue import FAULTS
from tests.lab.faults.campaign.content import Content
from tests.lab.faults.campaign.oracle import Facts
from tests.lab.faults.campaign.plan import COLUMNS, ROUNDS, Round, cells, further, plan
from tests.lab.faults.campaign.play import Played, begin, play, stage_on
from tests.lab.faults.ground import Ground, dismantle, until
from tests.lab.faults.phases import PHASES

PLAN = [plan(seed, number) for seed in range(1, 11) for number in range(ROUNDS)]


def played(one: Round, **more: object) -> Played:
    """A round that was played as it was planned, and ended well."""
    made = Played(one.seed, one.number, one.fault.name, one.column, one.phase, column=one.column)
    return replace(replace(made, end="new"), **more)  # type: ignore[arg-type]


def test_a_round_is_the_same_again() -> None:
    """A failure can be repeated from its seed and number, with all that chance decides in it."""
    assert [plan(7, number) for number in range(20)] == [plan(7, number) for number in range(20)]
    assert plan(7, 3).chance.random() == plan(7, 3).chance.random()
    assert [plan(7, number) for number in range(20)] != [plan(8, number) for number in range(20)]


def test_ten_seeds_aim_at_each_cell_three_times() -> None:
    """No fault is missing in any phase where it makes sense, and none is where it does not."""
    aimed = Counter((one.fault.name, one.column) for one in PLAN)
    assert set(aimed) == set(cells())
    assert min(aimed.values()) >= 3
    assert {phase for phases in COLUMNS.values() for phase in phases} == set(PHASES)


def test_seconds_are_those_that_a_fault_bears() -> None:
    """A second fault makes sense in the phase, and beside the first."""
    seconds = [(one, one.second) for one in PLAN if one.second is not None]
    assert len(seconds) > len(PLAN) / 10
    assert all(second.name in one.fault.bears for one, second in seconds)
    assert all(second.fits(one.column) for one, second in seconds)


def test_a_cell_that_was_not_struck_gets_further_rounds() -> None:
    """What was not played counts for nothing, nor does what struck in no phase of the table."""
    all_of_them = [played(one) for one in PLAN]
    assert counts.lacking(all_of_them) == {}
    cell = ("clock-jumps", "verify")
    of_it = [one for one in all_of_them if (one.fault, one.column) == cell]
    rest = [one for one in all_of_them if one not in of_it]
    missed = [replace(of_it[0], why_not="…"), replace(of_it[1], column="roll-back"), *of_it[2:]]
    assert counts.lacking([*rest, *missed]) == {cell: 3 - len(of_it[2:])}
    more = next(further("verify", "clock-jumps", 1))
    assert (more.fault.name, more.column, more.held) == ("clock-jumps", "verify", True)
    assert more.number >= ROUNDS


def test_the_table_tells_of_each_round(tmp_path: Path) -> None:
    """Each cell has its count; what is wrong, senseless or missing is said; the page stays."""
    good = played(PLAN[0])
    bad = replace(good, wrong=["it says deployed, and it is not"])
    text = counts.table([good, good, bad, replace(good, why_not="…")])
    row = next(line for line in text.split("\n") if f"**{good.fault}**" in line)
    assert "2 new, **1 wrong**" in row
    assert text.startswith("3 rounds of 1 seeds")
    senseless = next(line for line in text.split("\n") if "**guard-killed**" in line)
    assert senseless.count("| - ") == 2
    page = tmp_path / "page.md"
    page.write_text(f"before\n{counts.BEGIN}\nold\n{counts.END}\nafter\n")
    counts.write(page, [good])
    assert page.read_text().startswith(f"before\n{counts.BEGIN}\n\n1 rounds")
    assert page.read_text().endswith(f"{counts.END}\nafter\n")


def test_every_content_that_a_repository_had_is_known(tmp_path: Path) -> None:
    """However it is edited, what its files say is among what is written down of it."""
    identity = ("-c", "user.name=lab", "-c", "user.email=lab@localhost")
    subprocess.run(("git", "init", "--quiet"), cwd=tmp_path, check=True)
    for key in ("user.name", "user.email"):
        subprocess.run(("git", "config", key, "lab@localhost"), cwd=tmp_path, check=True)
    subprocess.run(
        ("git", *identity, "commit", "--quiet", "--allow-empty", "-m", "begin"),
        cwd=tmp_path,
        check=True,
    )
    content, chance = Content(tmp_path), random.Random(1)  # noqa: S311
    content.renew()
    first = content.now
    for _ in range(40):
        content.edit(chance)
        assert content.now in {marks for _, marks in content.had}
    # Somebody who writes both files writes one after the other: what lies between was there.
    changes = [
        sum(a != b for a, b in zip(x, y, strict=True)) for (_, x), (_, y) in pairwise(content.had)
    ]
    assert first in {marks for _, marks in content.had}
    assert max(changes) <= 2


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """One host in a lab of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_LAB_HOME", str(tmp_path_factory.mktemp("labs")))
        made = begin(tmp_path_factory.mktemp("campaign"))
        try:
            yield made
        finally:
            dismantle(made)


@pytest.mark.lab
def test_the_eyes_see_a_real_host(ground: Ground) -> None:
    """A host is whole; one whose profile somebody has changed by hand is found not to be."""
    eyes = stage_on(ground).eyes
    whole = eyes.look()
    assert whole is not None
    assert len(whole.systems) == 1
    until(eyes.rests, 60, "the host is to come to rest by itself")
    facts = Facts(whole, whole, (whole,), {whole.running or "": whole.marks}, frozenset())
    assert oracle.of_host(facts) == []
    ground.inside.sh("ln -sfn /nix/store /nix/var/nix/profiles/system")
    changed = eyes.look()
    ground.inside.sh("ln -sfn system-2-link /nix/var/nix/profiles/system")
    assert changed is not None
    assert len(oracle.of_host(replace(facts, after=changed))) == 2


@pytest.mark.lab
@pytest.mark.parametrize(
    "cell", ["state-removed@prove", "clock-jumps@copy", "repository-edited@before"]
)
def test_a_round_is_as_it_must_be(ground: Ground, cell: str) -> None:
    """A fault that the campaign alone has: host, report and next run are as they must be."""
    name, _, column = cell.partition("@")
    result = play(ground, next(further(column, name, 1)))
    assert not result.why_not
    assert not result.wrong, "\n".join(result.wrong)
    assert result.fault in FAULTS
