"""What git says, from a repository of its own."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from orchestrator.core import git
from orchestrator.core.errors import StepError


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit of ``a.nix``; nobody's own settings count."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "fleet")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "fleet@example.org")
    folder = tmp_path / "a fleet"
    folder.mkdir()
    run(folder, "init", "--quiet")
    (folder / "a.nix").write_text("{ }\n")
    run(folder, "add", "a.nix")
    run(folder, "commit", "--quiet", "-m", "first")
    run(folder, "tag", "-a", "v1", "-m", "v1")
    return folder


def run(folder: Path, *argv: str) -> str:
    """Run git."""
    done = subprocess.run(["git", "-C", folder, *argv], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def revision(folder: Path) -> str | None:
    """Ask for the revision."""
    return asyncio.run(git.revision(str(folder)))


def test_the_revision_is_the_commit(repository: Path) -> None:
    """All of its hash, and no tag's name; a file that git does not track changes nothing."""
    (repository / "new.nix").touch()
    assert revision(repository) == run(repository, "rev-parse", "HEAD")


def test_changed_files_make_it_dirty(repository: Path) -> None:
    """Changed, staged or gone: what is deployed is not what was committed."""
    clean = run(repository, "rev-parse", "HEAD")
    (repository / "a.nix").write_text("{ x = 1; }\n")
    assert revision(repository) == f"{clean}-dirty"
    run(repository, "add", "a.nix")
    assert revision(repository) == f"{clean}-dirty"
    (repository / "a.nix").unlink()
    assert revision(repository) == f"{clean}-dirty"


def test_without_a_repository_there_is_no_revision(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no revision without a repository, without a commit, or without git."""
    assert revision(repository.parent) is None
    empty = repository.parent / "empty"
    run(repository.parent, "init", "--quiet", str(empty))
    assert revision(empty) is None
    monkeypatch.setenv("PATH", "")
    assert revision(repository) is None


def test_tracked_files_are_listed(repository: Path) -> None:
    """Tracked files below the folder that match are listed, whatever their names."""
    names = ("b.nix", "deep/c d.nix", "é.nix", "new\nline.nix", "e.txt")
    (repository / "deep").mkdir()
    for name in names:
        (repository / name).touch()
    run(repository, "add", ".")
    (repository / "untracked.nix").touch()
    found = asyncio.run(git.tracked(str(repository), "*.nix"))
    assert sorted(found) == sorted(("a.nix", *names[:4]))
    assert asyncio.run(git.tracked(str(repository / "deep"), "*.nix")) == ("c d.nix",)


def test_without_a_repository_nothing_is_tracked(repository: Path) -> None:
    """To list tracked files without a repository is an error, and not an empty list."""
    with pytest.raises(StepError, match="could not list"):
        asyncio.run(git.tracked(str(repository.parent), "*.nix"))


def commit(folder: Path, file: str) -> bool:
    """Commit one file."""
    return asyncio.run(git.commit_file(str(folder), file, "flake: update"))


def test_one_file_is_committed_and_nothing_else(repository: Path) -> None:
    """What a person has staged, or changed, stays as it is."""
    (repository / "staged.nix").touch()
    run(repository, "add", "staged.nix")
    (repository / "a.nix").write_text("changed\n")
    (repository / "flake.lock").write_text("{}\n")
    assert commit(repository, "flake.lock")
    assert run(repository, "show", "--format=%s", "--name-only").split("\n") == [
        "flake: update",
        "",
        "flake.lock",
    ]
    assert run(repository, "status", "--porcelain").split("\n") == ["M a.nix", "A  staged.nix"]


def test_nothing_to_commit_is_told(repository: Path) -> None:
    """Where nothing is to be committed, ``commit`` says so and makes no empty commit."""
    before = run(repository, "rev-parse", "HEAD")
    assert not commit(repository, "a.nix")
    assert run(repository, "rev-parse", "HEAD") == before


def test_a_commit_that_git_refuses_is_an_error(repository: Path) -> None:
    """With what git said: here a hook refuses, there the file is missing."""
    hook = repository / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    (repository / "a.nix").write_text("changed\n")
    with pytest.raises(StepError, match=r"did not commit a.nix") as caught:
        commit(repository, "a.nix")
    assert caught.value.stderr == "not today"
    with pytest.raises(StepError, match=r"did not commit missing"):
        commit(repository, "missing")
