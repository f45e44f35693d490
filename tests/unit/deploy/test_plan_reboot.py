"""Whether a host needs a boot to run all of its system."""

from __future__ import annotations

import pytest

from orchestrator.deploy.plan.decide import PARTS, needs_boot

BOOTED = {part: f"/nix/store/old/{part}" for part in PARTS}


def test_the_same_parts_need_no_boot() -> None:
    """Two systems with the same parts, or both without one, need no boot."""
    assert needs_boot(BOOTED, dict(BOOTED)) == ()
    assert needs_boot({}, {}) == ()


@pytest.mark.parametrize("part", PARTS)
def test_each_part_needs_one(part: str) -> None:
    """Changed, new or gone; and it is named."""
    assert needs_boot(BOOTED, {**BOOTED, part: "new"}) == (part,)
    assert needs_boot({**BOOTED, part: ""}, BOOTED) == (part,)
    without = {key: value for key, value in BOOTED.items() if key != part}
    assert needs_boot(without, BOOTED) == needs_boot(BOOTED, without) == (part,)


def test_what_was_booted_is_not_known() -> None:
    """Where it is not known what was booted, every part counts as changed."""
    assert needs_boot({}, BOOTED) == PARTS


def test_a_specialisation_that_was_switched_to_needs_no_boot_that_would_leave_it() -> None:
    """A boot brings the system itself: it is needed where neither that nor what runs was booted."""
    own, live, old = ({**BOOTED, "kernel-params": text} for text in ("quiet", "loud", "old"))
    assert needs_boot(own, own, live) == ()
    assert needs_boot(live, own, live) == ()
    assert needs_boot(old, own, live) == ("kernel-params",)
