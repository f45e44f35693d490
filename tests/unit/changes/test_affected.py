"""Which hosts a change touches: who is not known to be the same, is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from known_fleet import HOSTS, KnownFleet, git, system

from orchestrator.changes.learn import affected
from orchestrator.core.errors import StepError


def touched(fleet: KnownFleet, since: str | None = None) -> Mapping[str, str]:
    """The hosts, each with its reason."""
    return asyncio.run(affected(fleet.setup, tuple(HOSTS.values()), since))


def test_what_was_never_evaluated_is_touched(fleet: KnownFleet) -> None:
    """A host that was never evaluated is affected, with a revision to compare to and without."""
    assert touched(fleet) == dict.fromkeys(HOSTS, "it was not evaluated before")
    assert touched(fleet, "HEAD") == dict.fromkeys(HOSTS, "it was not evaluated before")


def test_since_the_last_evaluation(fleet: KnownFleet) -> None:
    """Without a revision, a host is affected if what its last evaluation read has changed."""
    fleet.learn()
    assert touched(fleet) == {}
    fleet.write("README")
    assert touched(fleet) == {}
    fleet.write("hosts/razer.nix")
    assert touched(fleet) == {"razer": "hosts/razer.nix changed"}


def test_since_a_commit(fleet: KnownFleet) -> None:
    """What was changed after it, committed or not."""
    fleet.learn()
    fleet.write("hosts/razer.nix")
    fleet.commit()
    fleet.write("README")
    fleet.commit()
    assert touched(fleet, "HEAD") == {"razer": "hosts/razer.nix changed"}
    assert touched(fleet, "HEAD~2") == {"razer": "hosts/razer.nix changed"}
    fleet.write("hosts/p620.nix")
    assert touched(fleet, "HEAD~2").keys() == {"p620", "razer"}


def test_a_change_that_is_known_to_have_no_effect_touches_nobody(fleet: KnownFleet) -> None:
    """Both ends are evaluated, and it is the same system."""
    fleet.learn()
    fleet.write("hosts/razer.nix", "a comment")
    fleet.commit()
    fleet.learn()
    assert touched(fleet, "HEAD~1") == {}


def test_a_change_with_an_effect_touches(fleet: KnownFleet) -> None:
    """Both ends are evaluated, and the systems differ."""
    fleet.learn()
    fleet.write("hosts/razer.nix")
    fleet.commit()
    fleet.systems["razer"] = system("x")
    fleet.learn()
    assert touched(fleet, "HEAD~1") == {"razer": "hosts/razer.nix changed"}


def test_where_one_end_is_not_known_the_host_is_touched(fleet: KnownFleet) -> None:
    """Evaluated now, and not as it was then."""
    fleet.write("hosts/razer.nix")
    fleet.commit()
    fleet.learn()
    found = touched(fleet, "HEAD~1")
    assert found == {"razer": "its system at that revision is not known"}


def test_of_a_whole_tree_every_commit_counts(fleet: KnownFleet) -> None:
    """Before anything is learned, a run's evaluation holds for its very tree only."""
    fleet.run(1)
    assert touched(fleet, "HEAD") == {}
    fleet.write("README")
    fleet.commit()
    assert touched(fleet, "HEAD~1").keys() == HOSTS.keys()


def test_the_hosts_that_are_asked_for(fleet: KnownFleet) -> None:
    """Of the hosts that are selected each has an answer, and no other host has one."""
    found = asyncio.run(affected(fleet.setup, (HOSTS["razer"],), "HEAD"))
    assert found.keys() == {"razer"}


def test_what_is_no_revision_is_an_error(fleet: KnownFleet) -> None:
    """CI must not build nothing because of a typing error."""
    fleet.learn()
    with pytest.raises(StepError, match="'nowhere' is no commit"):
        touched(fleet, "nowhere")


def test_a_tree_that_cannot_be_told_is_an_error_or_touches_all(fleet: KnownFleet) -> None:
    """A tree with a merge conflict affects all hosts; compared to a revision it is an error."""
    fleet.learn()
    git(fleet.root, "branch", "other")
    fleet.write("README", "ours")
    fleet.commit()
    git(fleet.root, "checkout", "--quiet", "other")
    fleet.write("README", "theirs")
    fleet.commit()
    with pytest.raises(Exception, match="returned non-zero"):
        git(fleet.root, "merge", "main")
    assert touched(fleet) == dict.fromkeys(HOSTS, "README has a conflict")
    with pytest.raises(StepError, match="README has a conflict"):
        touched(fleet, "main")
