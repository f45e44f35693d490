"""What is older than what a host has: commits, uncommitted changes, nixpkgs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.core.checks import Shortfall
from orchestrator.core.commit import Checkout, Commit, Distance, Kin
from orchestrator.core.plan import Goal
from orchestrator.core.state import Attempt, AttemptState, HostState, Record
from orchestrator.core.store import OutPath, Specialised
from orchestrator.core.values import replace
from orchestrator.deploy.plan.older import Here, Origin, older_commit, older_nixpkgs, origin_of

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
ROOT, NEW, SIDE = "a" * 40, "b" * 40, "c" * 40
FIRST = Commit(ROOT, (), "2026-11-27 10:00", "a fleet")
SECOND = Commit(NEW, (ROOT,), "2026-11-28 10:00", "add nginx")
AMENDED = Commit(SIDE, (ROOT,), "2026-11-28 10:05", "add nginx, rightly")
OURS, THEIRS = Checkout("ours"), Checkout("theirs")
HERE = Here(ROOT, "ada@desk", "ours")
THERE = Origin(NEW, "bob@sofa", NOW - timedelta(minutes=3), THEIRS)
AHEAD = Kin(SECOND, FIRST, Distance(1, 0))


def only(there: Origin, here: Here = HERE, kin: Kin = AHEAD) -> Shortfall:
    """The one thing that is said."""
    (found,) = older_commit(there, here, kin, NOW)
    return found


def said(there: Origin, here: Here, kin: Kin) -> tuple[Shortfall, ...]:
    """All that is said."""
    return tuple(older_commit(there, here, kin, NOW))


def test_a_descendant_is_not_undone_and_both_commits_are_named() -> None:
    """The refusal has each commit's id, subject and date, who deployed when, and what to do."""
    found = only(THERE)
    assert found.refuses
    assert found.text == (
        "a step backwards: the host has bbbbbbbbbbbb ('add nginx', 2026-11-28 10:00), deployed "
        "3 min ago by bob@sofa; this is aaaaaaaaaaaa ('a fleet', 2026-11-27 10:00), which is "
        "before it"
    )
    assert found.remedy.startswith("take in what is deployed (git pull), then deploy")


def test_a_clone_that_lacks_the_newer_commit_is_refused_by_the_host_s_record() -> None:
    """The record on the host names its commit, and those before: nobody has to fetch for that."""
    checkout = Checkout.of("theirs", SECOND, [ROOT])
    assert Checkout.parse(checkout.fields) == checkout
    for kin in (Kin(mine=FIRST), Kin(mine=FIRST, shallow=True)):
        found = only(replace(THERE, checkout=checkout), HERE, kin)
        assert found.refuses
        assert "bbbbbbbbbbbb ('add nginx', 2026-11-28 10:00)" in found.text
    aside = replace(HERE, revision=SIDE)
    assert not only(replace(THERE, checkout=checkout), aside, Kin(mine=AMENDED)).refuses


def test_what_a_host_says_of_commits_has_bounds() -> None:
    """A record that somebody made up is short, and has nothing but ids in it."""
    fields = {"commit_subject": "x" * 999, "commit_before": f"{'f' * 8} {'g' * 8} " * 999}
    found = Checkout.parse(fields)
    assert len(found.subject) == 72
    assert set(found.before) == {"f" * 8}
    assert len(found.before) <= 50


@pytest.mark.parametrize("there", [THERE, replace(THERE, revision=f"{NEW}-dirty")])
def test_changes_on_top_of_an_older_commit_make_it_no_newer(there: Origin) -> None:
    """Neither uncommitted changes here nor there, nor the same folder, make a step back another."""
    dirty = replace(HERE, revision=f"{ROOT}-dirty")
    assert only(there, dirty).refuses
    assert only(there, replace(dirty, folder="theirs")).refuses


def test_successors_pass() -> None:
    """A host that has an ancestor passes, or the commit itself, with or without changes here."""
    behind = Kin(FIRST, SECOND, Distance(0, 1))
    assert said(replace(THERE, revision=ROOT), replace(HERE, revision=NEW), behind) == ()
    for here in (NEW, f"{NEW}-dirty"):
        assert said(THERE, replace(HERE, revision=here), Kin()) == ()


def test_the_daily_loop_of_uncommitted_changes_passes() -> None:
    """Changes of this folder may be changed further, committed, or taken back."""
    ours = replace(THERE, revision=f"{ROOT}-dirty", checkout=OURS)
    for here in (f"{ROOT}-dirty", ROOT):
        assert said(ours, replace(HERE, revision=here), Kin()) == ()
    behind = Kin(FIRST, SECOND, Distance(0, 1))
    assert said(ours, replace(HERE, revision=NEW), behind) == ()


def test_another_folder_s_uncommitted_changes_are_not_undone() -> None:
    """Changes that are in no commit are in no descendant either: undoing them is refused."""
    theirs = replace(THERE, revision=f"{ROOT}-dirty")
    behind = Kin(FIRST, SECOND, Distance(0, 1))
    for here, kin in ((ROOT, Kin(FIRST, FIRST, Distance(0, 0))), (NEW, behind)):
        found = only(theirs, replace(HERE, revision=here), kin)
        assert found.refuses
        assert "('a fleet', 2026-11-27 10:00) and uncommitted changes" in found.text
        assert "bob@sofa commit" in found.remedy


def test_a_record_that_names_no_folder_is_its_machine_s() -> None:
    """What was deployed by older versions is told apart by the machine that deployed it."""
    theirs = replace(THERE, revision=f"{ROOT}-dirty", checkout=Checkout())
    assert only(theirs, HERE, Kin()).refuses
    assert said(replace(theirs, who="root@desk"), HERE, Kin()) == ()


def test_diverged_commits_are_a_notice() -> None:
    """Neither is older: it is said what is not in this one, and nothing is refused."""
    diverged = Kin(SECOND, AMENDED, Distance(1, 3))
    found = only(THERE, replace(HERE, revision=SIDE), diverged)
    assert not found.refuses
    assert "which diverged: it lacks 1 commit of what is deployed, and has 3 others" in found.text


def test_one_s_own_amended_commit_passes_without_a_word() -> None:
    """The commit that it took the place of has the same parents, and was deployed from here."""
    amended = Kin(SECOND, AMENDED, Distance(1, 1))
    here = replace(HERE, revision=SIDE)
    assert said(replace(THERE, checkout=OURS), here, amended) == ()
    assert said(replace(THERE, revision=f"{NEW}-dirty", checkout=OURS), here, amended) == ()
    assert "diverged" in only(THERE, here, amended).text


@pytest.mark.parametrize(
    ("here", "kin", "words"),
    [
        (HERE, Kin(mine=FIRST), "git fetch may bring it"),
        (HERE, Kin(mine=FIRST, shallow=True), "git fetch --unshallow"),
        (replace(HERE, revision=None), Kin(), "this fleet is in no git repository here"),
    ],
)
def test_what_cannot_be_known_is_a_notice(here: Here, kin: Kin, words: str) -> None:
    """A commit that is not here, or a shallow clone, refuses nothing."""
    found = only(THERE, here, kin)
    assert not found.refuses
    assert found.text.startswith("the host has bbbbbbbbbbbb, deployed 3 min ago by bob@sofa; ")
    assert words in found.text


def test_what_a_shallow_clone_takes_for_diverged_may_be_kin() -> None:
    """A notice of diverged commits says where commits are lacking here."""
    found = only(THERE, replace(HERE, revision=SIDE), Kin(SECOND, AMENDED, Distance(1, 1), True))
    assert found.text.endswith("as far as this shallow clone knows")


def of(label: str) -> OutPath:
    """A system by its label."""
    return OutPath(f"/nix/store/{'d' * 32}-nixos-system-p620-{label}")


def state(running: OutPath | None, profile: OutPath | None = None) -> HostState:
    """A host that runs a system."""
    return HostState("m", running, running, profile or running, running)


NEWER = [
    ("25.05.20250601.abcdef1", "25.05.20250531.1234567"),
    ("25.11.20251101.abcdef1", "25.05.20251201.abcdef1"),
    ("25.05.803396.abcdef1", "25.05.803395.1234567"),
    ("25.11pre803396.abcdef1", "25.11pre803395.1234567"),
    ("gpu-25.05.20250601.abcdef1", "25.05.20250531.dirty"),
    ("25.11pre-git", "25.05pre-git"),
    ("25.11", "25.05.20250531.1234567"),
]


@pytest.mark.parametrize(("there", "here"), NEWER)
def test_an_older_nixpkgs_is_refused(there: str, here: str) -> None:
    """By its release, then by its date or its count of commits; the other way round passes."""
    (found,) = older_nixpkgs(state(of(there)), of(here))
    assert found.refuses
    assert found.text.startswith("nixpkgs is older: the host has ")
    assert found.text.endswith(f"this is {here}")
    assert list(older_nixpkgs(state(of(here)), of(there))) == []


def test_what_a_host_makes_up_of_a_deployment_has_an_end_and_is_printable() -> None:
    """A record is a host's word: what is no date is none, and nobody's name fills a report."""
    made_up = {"commit_date": "\x1b]0;x", "commit_subject": "a\x1b[2J" + "b" * 999}
    checkout = Checkout.parse(made_up)
    assert (checkout.date, checkout.subject) == ("", "a [2J" + "b" * 67)
    assert Checkout.parse({"commit_date": "2026-11-28 14:03"}).date == "2026-11-28 14:03"
    one = state(of("25.05"))
    assert one.record is None
    record = Record(1, "x" * 9999, "a" * 40, of("25.05"), NOW, checkout=checkout)
    found = origin_of(replace(one, record=record))
    assert found is not None
    assert len(found.who) == 100


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("25.05.20250601.abcdef1", "25.05.20250601.1234567"),
        ("25.05.20250601.abcdef1", "25.05.803396.abcdef1"),
        ("25.05.803396.abcdef1", "25.05.20250601.abcdef1"),
        ("25.05", "25.05pre-git"),
        ("25.05.20250601.abcdef1", "25.05.19700101.dirty"),
        ("mine", "25.05.20250601.abcdef1"),
        ("25.05.20250601.abcdef1", "mine"),
        ("25.05.20250601.abcdef1-mine", "24.11"),
    ],
)
def test_versions_that_do_not_compare_say_nothing(there: str, here: str) -> None:
    """Another label, or a date beside a count, is neither older nor newer."""
    assert list(older_nixpkgs(state(of(there)), of(here))) == []


def test_what_boots_counts_as_well_as_what_runs() -> None:
    """A newer system that is to boot is not replaced by an older one, and where none runs, none."""
    both = state(of("25.05.20250601.abcdef1"), of("25.05.20250701.abcdef1"))
    (found,) = older_nixpkgs(both, of("25.05.20250615.abcdef1"))
    assert "the host has 25.05.20250701.abcdef1" in found.text
    assert list(older_nixpkgs(state(None), of("25.05"))) == []


RUNS, BOOTS = of("a"), of("b")
RECORD = Record(7, "bob@sofa", NEW, RUNS, NOW, checkout=THEIRS)


def test_a_record_counts_for_what_runs_or_boots_alone() -> None:
    """A system that was switched to otherwise is of no known commit."""
    recorded = replace(state(RUNS), record=RECORD)
    assert origin_of(recorded) == Origin(NEW, "bob@sofa", NOW, THEIRS)
    assert origin_of(replace(recorded, running=BOOTS)) is not None
    assert origin_of(replace(recorded, running=BOOTS, profile=BOOTS)) is None
    assert origin_of(replace(recorded, record=replace(RECORD, revision=None))) is None
    assert origin_of(state(RUNS)) is None
    variant = replace(state(BOOTS), running_as=(Specialised(RUNS, "quiet"),), record=RECORD)
    assert origin_of(variant) is not None


def test_what_is_only_tried_counts_while_it_runs() -> None:
    """A ``test`` leaves no record, and what it tried is not to be undone by an older commit."""
    tried = Attempt(
        *("t", Goal.TEST, BOOTS, state(RUNS), 8, "eve@bed", SIDE, NOW),
        state=AttemptState.DONE,
        checkout=Checkout("hers"),
    )
    trying = replace(state(BOOTS, RUNS), record=RECORD, attempt=tried)
    assert origin_of(trying) == Origin(SIDE, "eve@bed", NOW, Checkout("hers"))
    for other in (
        replace(trying, running=RUNS),
        replace(trying, attempt=replace(tried, state=AttemptState.RETURNED)),
    ):
        found = origin_of(other)
        assert found is not None
        assert found.who == "bob@sofa"
