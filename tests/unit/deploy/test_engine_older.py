"""Deployments of older commits to a host in memory, from a repository of their own."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest
from fake_host import ELSE, NEW, Bench, FakeExecutor, system

from orchestrator.core.catalogue import Feature, Needs
from orchestrator.core.commit import Distance
from orchestrator.core.outcome import Completed, Deployed, Failed
from orchestrator.core.plan import Goal
from orchestrator.core.run import DeployRequest
from orchestrator.deploy.changing import forwards
from orchestrator.deploy.changing.forwards import Offer, look_ahead
from orchestrator.deploy.work import HostWork
from orchestrator.host.status import ask_state


def git(folder: Path, *argv: str) -> str:
    """Run git."""
    done = subprocess.run(["git", "-C", folder, *argv], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path, message: str, *options: str) -> str:
    """Make an empty commit; its id."""
    git(folder, "commit", "--quiet", "--allow-empty", *options, "-m", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def deployed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A host that has the second commit of a fleet, deployed from its folder."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "fleet")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "fleet@example.org")
    git(bench.folder, "init", "--quiet", "--initial-branch=main")
    commit(bench.folder, "a fleet")
    bench.revision = commit(bench.folder, "add nginx")
    assert isinstance(bench.deploy(), Deployed)
    bench.target = ELSE
    bench.events.clear()
    return bench


def test_an_older_commit_is_refused_before_anything_is_copied(deployed: Bench) -> None:
    """Both commits are named, with who deployed the newer one; the host stays as it is."""
    deployed.revision = git(deployed.folder, "rev-parse", "HEAD~1")
    deployed.delivered.clear()
    outcome = deployed.deploy()
    assert isinstance(outcome, Failed)
    assert outcome.problem.refused
    assert outcome.problem.checks == ("older",)
    assert "('add nginx', " in outcome.problem.message
    assert "by me@here; this is " in outcome.problem.message
    assert "('a fleet', " in outcome.problem.message
    assert (outcome.problem.hint or "").endswith("--skip-preflight older")
    assert deployed.delivered == ["build"]
    assert deployed.host.running == NEW


def test_a_plan_says_that_it_would_be_refused(deployed: Bench) -> None:
    """``plan`` warns in the words of the refusal, and fails for nothing."""
    deployed.revision = git(deployed.folder, "rev-parse", "HEAD~1")
    outcome = deployed.deploy(plan_only=True)
    assert isinstance(outcome, Deployed)
    (warning,) = outcome.warnings
    assert warning.startswith("preflight would refuse: a step backwards: ")


def test_who_only_compares_is_told_what_a_plan_tells(deployed: Bench) -> None:
    """``diff`` says of a step backwards, and of what the machine lacks, what ``plan`` says."""
    deployed.revision = git(deployed.folder, "rev-parse", "HEAD~1")
    deployed.catalogue = {"ai": Feature("ai", needs=Needs(memory=16 << 30))}
    deployed.host.answers["facts"] = (
        b"/etc/machine-id:m\nmemory_blocks=64\n"
        b"/sys/devices/system/memory/block_size_bytes:8000000\nend=\n"
    )
    planned = deployed.deploy(plan_only=True)
    assert isinstance(planned, Deployed)

    async def looked() -> tuple[str, ...]:
        (work,) = deployed.shares(DeployRequest(), "p620")
        executor, setup = FakeExecutor(deployed.host), work.session.setup
        state = await ask_state(executor, work.host)
        offer = Offer(setup, work.host, state, ELSE, deployed.revision, "me@here")
        return await look_ahead(offer, executor)

    told = asyncio.run(looked())
    assert [text.split(":")[1].split()[0] for text in told] == ["a", "16.0"]
    assert told == planned.warnings


def test_an_older_commit_that_is_wanted_is_recorded(deployed: Bench) -> None:
    """``--skip-preflight older`` goes past it with a warning, and the record says so."""
    deployed.revision = git(deployed.folder, "rev-parse", "HEAD~1")
    outcome = deployed.deploy(skip_preflight=("older",))
    assert isinstance(outcome, Deployed)
    assert outcome.warnings[0].startswith("preflight: older was skipped: a step backwards: ")
    assert deployed.host.record is not None
    assert deployed.host.record["skipped"] == "older"
    assert deployed.host.record["revision"] == deployed.revision


def test_an_emergency_is_told_of_it_alone(deployed: Bench) -> None:
    """An emergency deployment of an older commit is a warning."""
    deployed.revision = git(deployed.folder, "rev-parse", "HEAD~1")
    outcome = deployed.deploy(emergency="fire")
    assert isinstance(outcome, Deployed)
    assert outcome.warnings[0].startswith("preflight: older: a step backwards: ")


def test_what_is_amended_here_is_deployed_without_a_word(deployed: Bench) -> None:
    """``git commit --amend``, with and without further changes, is the daily loop."""
    deployed.revision = commit(deployed.folder, "add nginx, rightly", "--amend") + "-dirty"
    outcome = deployed.deploy()
    assert isinstance(outcome, Deployed)
    assert outcome.warnings == ()


def test_changes_in_the_same_folder_are_deployed_one_after_the_other(deployed: Bench) -> None:
    """Uncommitted changes replace earlier ones of the same folder; git is not even asked."""
    head = deployed.revision
    for letter, revision in (("y", f"{head}-dirty"), ("z", f"{head}-dirty"), ("w", head)):
        deployed.target, deployed.revision = system(letter), revision
        deployed.folder.joinpath(".git").rename(deployed.folder / "git")
        outcome = deployed.deploy()
        deployed.folder.joinpath("git").rename(deployed.folder / ".git")
        assert isinstance(outcome, Deployed)
        assert outcome.warnings == ()


def test_changes_of_another_folder_are_not_undone(
    deployed: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is committed nowhere is kept from everybody who does not have it."""
    deployed.revision = f"{deployed.revision}-dirty"
    assert isinstance(deployed.deploy(), Deployed)
    monkeypatch.setattr(forwards, "checkout_of", lambda _: "another")
    deployed.target = system("y")
    deployed.revision = commit(deployed.folder, "further")
    outcome = deployed.deploy()
    assert isinstance(outcome, Failed)
    assert "and uncommitted changes" in outcome.problem.message


def test_a_diverged_commit_is_deployed_and_told(deployed: Bench) -> None:
    """Commits of a branch beside what is deployed are a warning."""
    git(deployed.folder, "checkout", "--quiet", "-b", "side", "HEAD~1")
    commit(deployed.folder, "one")
    deployed.revision = commit(deployed.folder, "two")
    outcome = deployed.deploy()
    assert isinstance(outcome, Deployed)
    (warning,) = outcome.warnings
    assert "which diverged: it lacks 1 commit of what is deployed, and has 2 others" in warning


def test_a_commit_that_is_not_here_refuses_nothing(deployed: Bench) -> None:
    """The host was deployed from a clone that has more: whether that is newer is not known."""
    assert deployed.host.record is not None
    deployed.host.record["revision"] = "f" * 40
    outcome = deployed.deploy()
    assert isinstance(outcome, Deployed)
    (warning,) = outcome.warnings
    assert "whether this is older is not known: git fetch may bring it" in warning


def test_what_changes_no_host_is_no_step_back(deployed: Bench) -> None:
    """An older system may be copied to a host and tried dry there."""
    deployed.revision = git(deployed.folder, "rev-parse", "HEAD~1")
    assert isinstance(deployed.deploy(Goal.PUSH), Completed)
    assert isinstance(deployed.deploy(Goal.DRY_ACTIVATE), Completed)


def test_an_older_nixpkgs_is_refused_by_the_systems_names(deployed: Bench) -> None:
    """Where the host's system is of a newer nixpkgs than the one to be deployed."""
    named = [type(NEW)(f"{ELSE}-25.05.{date}.abcdef1") for date in ("20250601", "20250531")]
    deployed.target = named[0]
    assert isinstance(deployed.deploy(), Deployed)
    deployed.target = named[1]
    outcome = deployed.deploy()
    assert isinstance(outcome, Failed)
    assert outcome.problem.message == (
        "older: nixpkgs is older: the host has 25.05.20250601.abcdef1, this is "
        "25.05.20250531.abcdef1"
    )


def test_a_host_of_a_flake_of_its_own_is_held_against_that_ones_commits(
    deployed: Bench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A fleet may have flakes in several repositories: each clone may be behind by itself."""
    own = tmp_path_factory.mktemp("own")
    git(own, "init", "--quiet", "--initial-branch=main")
    (own / "flake.nix").write_text("{ }")
    git(own, "add", "flake.nix")
    older, newer = commit(own, "a laptop"), commit(own, "add nginx to it")
    deployed.flake = str(own)
    assert isinstance(deployed.deploy(), Deployed)
    assert deployed.host.record is not None
    assert deployed.host.record["revision"] == newer
    git(own, "checkout", "--quiet", older)
    deployed.target = NEW
    outcome = deployed.deploy()
    assert isinstance(outcome, Failed)
    assert outcome.problem.checks == ("older",)
    assert "('add nginx to it', " in outcome.problem.message


def test_git_is_asked_once_for_all_hosts_of_a_run(deployed: Bench) -> None:
    """A thousand hosts of a wave with the same commit are one question."""
    older, newer = (git(deployed.folder, "rev-parse", name) for name in ("HEAD~1", "HEAD"))
    (share,) = _shares(deployed)
    setup, history, host = share.session.setup, share.session.history, share.host

    async def both() -> None:
        first, second = await asyncio.gather(
            *(history.kin(setup, host, newer, older) for _ in range(2))
        )
        assert first is second
        assert first.distance == Distance(1, 0)
        first, second = [await history.checkout(setup, host, newer) for _ in range(2)]
        assert first is second
        assert first.before == (older[:8],)
        assert (await history.checkout(setup, host, "")).before == ()

    asyncio.run(both())


def _shares(bench: Bench) -> list[HostWork]:
    """The hosts' shares of a run that is not begun."""

    async def make() -> list[HostWork]:
        await asyncio.sleep(0)
        return bench.shares(DeployRequest(), "p620")

    return asyncio.run(make())
