"""Which hosts were deployed from commits that are not in the history that is checked out."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.core import git
from orchestrator.core.host import Connect, Host
from orchestrator.core.state import HostState, Record
from orchestrator.core.store import OutPath
from orchestrator.core.values import replace
from orchestrator.host.status import HostAnswer, histories

STATE = HostState("m", None, None, None, None)
SYSTEM = OutPath(f"/nix/store/{'n' * 32}-nixos-system-p620")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two commits on main; a branch that has one of them and two of its own."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "fleet")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "fleet@example.org")
    run(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path, "one")
    run(tmp_path, "checkout", "--quiet", "-b", "other")
    commit(tmp_path, "two")
    commit(tmp_path, "three")
    run(tmp_path, "checkout", "--quiet", "main")
    commit(tmp_path, "four")
    return tmp_path


def run(folder: Path, *argv: str) -> str:
    """Run git."""
    done = subprocess.run(["git", "-C", folder, *argv], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path, message: str) -> None:
    """Make an empty commit."""
    run(folder, "commit", "--quiet", "--allow-empty", "-m", message)


def said(folder: Path, revisions: Mapping[str, str | None]) -> Mapping[str, str]:
    """What is said of hosts that bear revisions."""
    answers = []
    for name, revision in revisions.items():
        record = Record(1, "ada@desk", revision, SYSTEM, datetime.now(UTC))
        host = Host(name, name, Connect("192.0.2.1"))
        answers.append(HostAnswer(host, replace(STATE, record=record), None, 0.1))
    return asyncio.run(histories(str(folder), answers))


def test_an_ancestor_is_nothing_to_speak_of(repository: Path) -> None:
    """The commit itself, one before it, and no commit at all; dirty or not."""
    head, before = (run(repository, "rev-parse", name) for name in ("main", "main~1"))
    hosts = {"a": head, "b": before, "c": f"{head}-dirty", "d": None}
    assert said(repository, hosts) == {}


def test_commits_of_another_branch_are_named(repository: Path) -> None:
    """How many there are that deploying from here would leave out."""
    two, one = (run(repository, "rev-parse", name) for name in ("other", "other~1"))
    found = said(repository, {"a": two, "b": f"{one}-dirty"})
    assert found["a"].startswith(f"deployed from {two[:12]}, which has 2 commits that are not")
    assert "which has 1 commit that is not checked out here" in found["b"]


@pytest.mark.parametrize("revision", ["f" * 40, "--output=x", "HEAD", "x\n" * 9, "g" * 40])
def test_what_is_no_commit_here_is_said_to_be_none(repository: Path, revision: str) -> None:
    """A host says it: it is a full id, or no question to git at all."""
    (text,) = said(repository, {"a": revision}).values()
    assert "is not in this repository" in text
    assert not (repository / "x").exists()


def test_of_a_flake_of_its_own_nothing_is_said(repository: Path) -> None:
    """Commits of such a flake are those of another repository, or may be."""
    record = Record(1, "ada@desk", "f" * 40, SYSTEM, datetime.now(UTC))
    host = Host("a", "a", Connect("192.0.2.1"), flake="/elsewhere")
    answer = HostAnswer(host, replace(STATE, record=record), None, 0.1)
    assert asyncio.run(histories(str(repository), [answer])) == {}


def test_outside_of_git_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet need not be in a repository."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert said(tmp_path, {"a": "f" * 40}) == {}


def test_distance_counts_both_ways(repository: Path) -> None:
    """What a commit has that is not checked out, and what it lacks."""
    other = run(repository, "rev-parse", "other")
    assert asyncio.run(git.distance(str(repository), other)) == git.Distance(2, 1)
