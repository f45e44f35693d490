"""A system that waits: when it is tried again, and when nobody wants it any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from orchestrator.core.run import DeployRequest, Run
from orchestrator.core.state import HostState, Record
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.core.values import replace
from orchestrator.runs.pending import LONGEST_PAUSE, Pending

SINCE = datetime(2024, 5, 6, tzinfo=UTC)
OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system")
OTHER = OutPath("/nix/store/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-nixos-system")
WAITS = Pending(
    host="razer",
    system=Evaluated(DrvPath(f"{OUT}.drv"), OUT),
    run=7,
    who="me@here",
    revision="abc",
    reason="no route to host",
    since=SINCE,
    expires=SINCE + timedelta(days=7),
)
MINUTE = timedelta(minutes=1)


def state(record: Record | None) -> HostState:
    """A host that was deployed so."""
    return HostState("m", OTHER, OTHER, OTHER, OTHER, record=record)


def record(minutes: int, run: int = 12, who: str = "you@there", out: OutPath = OTHER) -> Record:
    """What a deployment leaves, so many minutes after the system began to wait."""
    return Record(run, who, None, out, SINCE + minutes * MINUTE)


def test_the_first_try_is_at_once_and_pauses_double_up_to_a_longest() -> None:
    """A host that stays unreachable is tried more and more seldom, and never too seldom."""
    assert WAITS.due(MINUTE) == SINCE
    pauses = []
    for tries in range(1, 40):
        due = replace(WAITS, tries=tries, last_try=SINCE).due(MINUTE)
        assert due is not None
        pauses.append(due - SINCE)
    assert pauses[:3] == [MINUTE, 2 * MINUTE, 4 * MINUTE]
    assert all(one <= other for one, other in pairwise(pauses))
    assert pauses[-1] == LONGEST_PAUSE


def test_an_interval_beyond_the_longest_pause_is_kept() -> None:
    """Who asks for an hour gets an hour."""
    hour = timedelta(hours=1)
    assert replace(WAITS, tries=9, last_try=SINCE).due(hour) == SINCE + hour


def test_what_failed_on_the_host_is_not_tried_again_by_itself() -> None:
    """A person has to look: a laptop is not rolled back every few minutes."""
    assert replace(WAITS, tries=1, last_try=SINCE, problem="rolled back").due(MINUTE) is None


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, False),
        (record(5), True),
        (record(-5), False),
        (record(5, out=OUT), False),
        (record(5, run=7, who="me@here"), True),
    ],
    ids=["never deployed", "later", "before", "the same", "run 7 of another checkout"],
)
def test_a_later_deployment_from_elsewhere_overtakes(found: Record | None, expected: bool) -> None:
    """A host is never brought back to what was pending before somebody deployed it."""
    assert WAITS.is_overtaken(state(found)) is expected


def test_it_expires() -> None:
    """What is pending expires at its time, and not a second before."""
    assert not WAITS.has_expired(WAITS.expires - timedelta(seconds=1))
    assert WAITS.has_expired(WAITS.expires)


def test_what_supersedes_it() -> None:
    """A later run does; a catch-up only by bringing this very system."""
    runs = {number: Run(number, "", "me@here", None, SINCE) for number in (6, 7, 9)}
    plain = DeployRequest()
    assert [WAITS.is_superseded_by(runs[n], plain, OTHER) for n in runs] == [False, True, True]
    older = DeployRequest(
        catch_up=True, systems={"razer": Evaluated(DrvPath(f"{OTHER}.drv"), OTHER)}
    )
    assert not WAITS.is_superseded_by(runs[9], older, OTHER)
    this = DeployRequest(catch_up=True, systems={"razer": WAITS.system})
    assert WAITS.is_superseded_by(runs[9], this, OUT)
