"""Why a host is left alone or deployed: the words that a person reads in the report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.changes.plan import Fingerprint, Known, Tree, Unknown
from orchestrator.core.plan import Goal
from orchestrator.core.state import BootSource, HostState, Record
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.core.values import replace
from orchestrator.deploy.plan.decide import why_changed, why_known, why_unchanged

NOW = datetime(2024, 5, 6, tzinfo=UTC)


def _path(letter: str) -> OutPath:
    return OutPath(f"/nix/store/{letter * 32}-nixos-system-{letter}")


NEW, OLD = _path("n"), _path("d")
STATE = HostState("m", NEW, NEW, NEW, NEW, BootSource.GRUB)
RECORD = Record(12, "me@here", None, NEW, NOW - timedelta(minutes=3))
READ = Fingerprint(
    attr="p620",
    context="context",
    tree=Tree("/fleet", {}),
    reads=frozenset(),
    files=212,
    evaluated=Evaluated(DrvPath(f"{NEW}.drv"), NEW),
    run=14,
    at=NOW - timedelta(hours=2),
)


def test_a_known_host_is_unchanged_because_nothing_that_it_reads_changed() -> None:
    """The number of files, the run that evaluated them, and that the host runs what came of it."""
    reason = why_unchanged(Goal.SWITCH, STATE, NEW, NOW, Known(READ))
    assert reason == "none of the 212 files that it reads changed since run 14; it runs that system"


def test_what_boots_is_said_to_boot() -> None:
    """For the goal ``boot`` the reason is about what boots, not about what runs."""
    reason = why_unchanged(Goal.BOOT, STATE, NEW, NOW, Known(READ))
    assert reason.endswith("since run 14; it boots that system")


def test_what_was_learned_by_hand_has_no_run() -> None:
    """Where a fingerprint was learned by hand, the reason says when, and names no run."""
    reason = why_known(replace(READ, run=None), NOW)
    assert reason == ("none of the 212 files that it reads changed since it was evaluated 2 h ago")


def test_where_the_whole_tree_counts_no_number_of_files_is_claimed() -> None:
    """Where the whole tree counts, the reason claims no number of files that are read."""
    assert why_known(replace(READ, reads=None), NOW) == "no file changed since run 14"


def test_a_change_without_effect_is_named() -> None:
    """An edited comment: evaluated, and the same system came of it."""
    known = Unknown("a.nix changed", ("a.nix", "b.nix"), READ)
    reason = why_unchanged(Goal.SWITCH, replace(STATE, record=RECORD), NEW, NOW, known)
    assert reason == (
        "a.nix, b.nix changed, its system did not: "
        f"already runs {NEW.short}, deployed 3 min ago by run 12"
    )


@pytest.mark.parametrize("known", [None, Unknown("it was not evaluated before")])
def test_without_knowledge_the_host_alone_is_the_reason(known: Unknown | None) -> None:
    """Without any knowledge the reason is what the host runs, as in a fleet never learned."""
    assert why_unchanged(Goal.SWITCH, STATE, NEW, NOW, known) == f"already runs {NEW.short}"
    state = replace(STATE, running=OLD)
    reason = why_changed(Goal.SWITCH, state, NEW, NOW, known)
    assert reason == f"it runs {OLD.short}, wanted is {NEW.short}"


def test_a_deployment_is_put_down_to_the_files_that_changed() -> None:
    """Three of them by name, and then what differs on the host."""
    known = Unknown("…", ("a", "b", "c", "d", "e"), READ)
    reason = why_changed(Goal.SWITCH, replace(STATE, running=OLD), NEW, NOW, known)
    assert reason == (f"a, b, c and 2 more changed: it runs {OLD.short}, wanted is {NEW.short}")


def test_where_nothing_changed_here_the_host_is_what_differs() -> None:
    """Somebody else deployed it, or it was rolled back."""
    reason = why_changed(Goal.SWITCH, replace(STATE, profile=OLD), NEW, NOW, Known(READ))
    assert reason == f"its profile is {OLD.short}, wanted is {NEW.short}"


def test_a_boot_loader_that_could_not_be_read_is_told_with_every_reason() -> None:
    """What is known of the files says nothing of the boot default."""
    state = replace(STATE, boot_source=BootSource.PROFILE)
    for known in (None, Known(READ), Unknown("…", ("a",), READ)):
        reason = why_unchanged(Goal.SWITCH, state, NEW, NOW, known)
        assert reason.endswith(
            "(no boot loader's default could be read: the profile stands for it)"
        )
