"""What git says, from a repository of its own."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_process import is_gone

from orchestrator.core import git, git_process
from orchestrator.core.commit import Distance
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


def hook(folder: Path, text: str) -> None:
    """Have the repository run this before each commit."""
    file = folder / ".git" / "hooks" / "pre-commit"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def test_a_hook_that_hangs_is_ended_with_all_that_it_started(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the deadline: its children hold git's pipes open, and are gone afterwards, too."""
    monkeypatch.setattr(git_process, "_SECONDS", 1.0)
    hook(repository, f"sleep 600 & echo $! > {str(repository)!r}/pid; wait")
    (repository / "a.nix").write_text("changed\n")
    with pytest.raises(StepError, match=r"git commit did not end within 1 s") as caught:
        commit(repository, "a.nix")
    assert caught.value.command is not None
    assert is_gone(int((repository / "pid").read_text()))
    assert not (repository / ".git/index.lock").exists()


def test_whoever_stops_a_commit_leaves_no_git_behind(repository: Path) -> None:
    """A person's Ctrl-C ends git and its hook before the caller goes on."""
    hook(repository, f"sleep 600 & echo $! > {str(repository)!r}/pid; wait")
    (repository / "a.nix").write_text("changed\n")
    before = run(repository, "rev-parse", "HEAD")

    async def stopped() -> None:
        working = asyncio.ensure_future(git.commit_file(str(repository), "a.nix", "x"))
        async with asyncio.timeout(30):
            pid = repository / "pid"
            while not (pid.exists() and pid.read_text()):  # noqa: ASYNC110 (a file has no event)
                await asyncio.sleep(0.01)
        working.cancel()
        await asyncio.wait((working,))
        assert working.cancelled()
        assert is_gone(int((repository / "pid").read_text()))

    asyncio.run(stopped())
    assert run(repository, "rev-parse", "HEAD") == before
    assert not (repository / ".git/index.lock").exists()


def test_a_hooks_own_repository_is_not_taken_for_the_fleets(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``GIT_DIR`` and its kin of whoever started this name another one; the folder counts."""
    other = repository.parent / "other"
    run(repository.parent, "init", "--quiet", str(other))
    expected = run(repository, "rev-parse", "HEAD")
    for name, value in (("GIT_DIR", ".git"), ("GIT_WORK_TREE", ""), ("GIT_INDEX_FILE", "x")):
        monkeypatch.setenv(name, str(other / value))
    assert revision(repository) == expected


def test_a_hook_hears_the_language_of_the_person(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GitPython sets ``LC_ALL=C`` for its own reading; hooks are given what the person has."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.delenv("LANGUAGE", raising=False)
    hook(repository, f'printf %s "$LC_ALL:$LANGUAGE" > {str(repository)!r}/heard')
    (repository / "a.nix").write_text("changed\n")
    assert commit(repository, "a.nix")
    assert (repository / "heard").read_text() == "C.UTF-8:"


def test_two_commits_are_told_apart_by_date_and_subject(repository: Path) -> None:
    """How far one is from the other, whatever is checked out; a subject is printable, and short."""
    first = run(repository, "rev-parse", "HEAD")
    long = "x" * 80
    run(repository, "commit", "--quiet", "--allow-empty", "-m", f"a\x1b[31m {long}\n\nmore")
    second = run(repository, "rev-parse", "HEAD")
    run(repository, "checkout", "--quiet", first)
    folder = str(repository)
    assert asyncio.run(git.distance(folder, first, second)) == Distance(0, 1)
    assert asyncio.run(git.distance(folder, second, first)) == Distance(1, 0)
    found = asyncio.run(git.commit(folder, second))
    assert found is not None
    assert (found.id, found.parents) == (second, (first,))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", found.date)
    assert found.subject == f"a [31m {long}"[:72]


def test_what_is_no_commit_is_none(repository: Path) -> None:
    """An id that nobody has, that of a file, an abbreviated one, or an option."""
    file = run(repository, "rev-parse", "HEAD:a.nix")
    head = run(repository, "rev-parse", "HEAD")
    for name in ("f" * 40, file, head[:12], "--output=x", ""):
        assert asyncio.run(git.commit(str(repository), name)) is None
        assert asyncio.run(git.distance(str(repository), head, name)) is None


def test_without_git_nothing_is_known_of_commits(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no git, commits are unknown, and nothing fails."""
    head, folder = run(repository, "rev-parse", "HEAD"), str(repository)
    assert asyncio.run(git.before(folder, "HEAD", 9)) == ()
    monkeypatch.setenv("PATH", "")
    assert asyncio.run(git.distance(folder, head)) is None
    assert asyncio.run(git.commit(folder, head)) is None
    assert asyncio.run(git.before(folder, head, 9)) == ()
    assert not asyncio.run(git.is_shallow(folder))


def test_the_commits_before_one_are_named_the_nearest_first(repository: Path) -> None:
    """As many as are wanted, and not the commit itself; none of a commit that is not here."""
    ids = [run(repository, "rev-parse", "HEAD")]
    for subject in ("second", "third", "fourth"):
        run(repository, "commit", "--quiet", "--allow-empty", "-m", subject)
        ids.insert(0, run(repository, "rev-parse", "HEAD"))
    assert asyncio.run(git.before(str(repository), ids[0], 2)) == tuple(ids[1:3])
    assert asyncio.run(git.before(str(repository), "f" * 40, 2)) == ()


def test_a_clone_that_lacks_older_commits_is_shallow(repository: Path) -> None:
    """A clone of a certain depth knows that it has not everything."""
    shallow = repository.parent / "shallow"
    run(repository, "commit", "--quiet", "--allow-empty", "-m", "second")
    run(repository, "clone", "--quiet", "--depth=1", repository.as_uri(), str(shallow))
    assert asyncio.run(git.is_shallow(str(shallow)))
    assert not asyncio.run(git.is_shallow(str(repository)))
    assert not asyncio.run(git.is_shallow(str(repository.parent)))


def test_a_commit_is_named_as_git_names_it(repository: Path) -> None:
    """By a tag, a branch, ``HEAD`` and what stands before it; an option is no name."""
    first = run(repository, "rev-parse", "HEAD")
    (repository / "a.nix").write_text("changed\n")
    assert commit(repository, "a.nix")

    def named(name: str) -> str:
        return asyncio.run(git.commit_named(str(repository), name))

    assert named("v1") == named("HEAD~1") == first
    assert named("HEAD") == run(repository, "rev-parse", "HEAD")
    for wrong in ("no-such", "--output=x", "HEAD~9", ""):
        with pytest.raises(StepError, match="is no commit of"):
            named(wrong)


MISSING = """
import asyncio
from orchestrator.core import git
from orchestrator.core.errors import StepError
assert asyncio.run(git.revision(".")) is None
try:
    asyncio.run(git.tracked(".", "*"))
except StepError as error:
    print(error.message, error.hint)
"""


def test_a_commit_is_checked_out_beside_and_no_hook_runs(repository: Path, tmp_path: Path) -> None:
    """The files are those of the commit, and what is checked out in the repository stays."""
    first = run(repository, "rev-parse", "HEAD")
    (repository / "a.nix").write_text("{ second = true; }\n")
    run(repository, "commit", "--quiet", "--all", "-m", "second")
    hook = repository / ".git/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    into = tmp_path / "beside"
    asyncio.run(git.check_out(str(repository), first, str(into)))
    assert (into / "a.nix").read_text() == "{ }\n"
    assert revision(into) == first
    assert (repository / "a.nix").read_text() == "{ second = true; }\n"
    assert not (tmp_path / "hooked").exists()


@pytest.mark.parametrize("commit", ["", "HEAD", "v1", "--upload-pack=x", "a" * 40, "a" * 39])
def test_what_is_no_full_id_of_a_commit_here_is_not_checked_out(
    repository: Path, tmp_path: Path, commit: str
) -> None:
    """A host says which commit it is: a branch's name or an option is none."""
    with pytest.raises(StepError):
        asyncio.run(git.check_out(str(repository), commit, str(tmp_path / "beside")))
    assert not (tmp_path / "beside").exists()


def test_a_machine_without_git_is_told_so(repository: Path) -> None:
    """GitPython looks for git when it is imported: that is no traceback, and no import error."""
    done = subprocess.run(
        (sys.executable, "-c", MISSING),
        cwd=repository,
        env={**os.environ, "PATH": "/nowhere", "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "git could not be started is it on the PATH? git --version\n", done
