"""A private copy of a repository: to git it is the repository, and nothing leads out of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.changes.plan import Tree
from orchestrator.changes.tree.private_copy import copy_repository
from orchestrator.changes.tree.snapshot import is_of, snapshot
from orchestrator.core.errors import StepError


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one commit, with a link and a program."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "fleet")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "fleet@example.org")
    return made(tmp_path / 'a "fleet"')


def made(root: Path) -> Path:
    """Make a repository."""
    (root / "d").mkdir(parents=True)
    for name in ("flake.nix", "a", "d/b", "d/program"):
        (root / name).write_text(f"{name}\n")
    (root / "d/program").chmod(0o755)
    (root / "link").symlink_to("d/b")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "first")
    return root


def git(root: Path, *words: str) -> str:
    """Run git."""
    argv = ("git", "-c", "protocol.file.allow=always", "-C", root, *words)
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def copied(root: Path, into: Path) -> tuple[Tree, Tree]:
    """What the repository is, and what its copy is."""

    async def both() -> tuple[Tree, Tree]:
        await copy_repository(root, into)
        return await snapshot(str(root)), await snapshot(str(into))

    return asyncio.run(both())


def nothing(root: Path) -> None:
    """Leave it as it is."""


def edit(root: Path) -> None:
    """Change, stage, delete, add."""
    (root / "a").write_text("edited")
    (root / "d/b").unlink()
    (root / "new").write_text("new")
    (root / "unseen").write_text("not tracked")
    git(root, "add", "new")


def intend(root: Path) -> None:
    """Mean to add a file, as is done for Nix to see it."""
    (root / "new").write_text("new")
    git(root, "add", "--intent-to-add", "new")


def detach(root: Path) -> None:
    """Be on no branch."""
    git(root, "checkout", "--quiet", "--detach")


def hide(root: Path) -> None:
    """Tell git not to look at a file, and change it."""
    git(root, "update-index", "--assume-unchanged", "a")
    (root / "a").write_text("hidden")


def convert(root: Path) -> None:
    """Let git convert line ends on the way."""
    (root / ".gitattributes").write_text("a text eol=crlf\n")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "converted")
    (root / "a").unlink()
    git(root, "checkout", "--quiet", "a")


def split(root: Path) -> None:
    """Keep the index in two files."""
    git(root, "update-index", "--split-index")
    (root / "new").touch()
    git(root, "add", "new")


def submodule(root: Path) -> None:
    """Have another repository in it, with a change."""
    inner = made(root.parent / "inner")
    git(root, "submodule", "add", "--quiet", str(inner), "module")
    git(root, "commit", "--quiet", "-m", "module")
    (root / "module/a").write_text("changed inside")


def no_commit(root: Path) -> None:
    """Be before the first commit."""
    git(root, "checkout", "--quiet", "--orphan", "other")


STATES = [nothing, edit, intend, detach, hide, convert, split, submodule, no_commit]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_a_copy_is_what_it_is_of(
    fleet: Path, tmp_path: Path, state: Callable[[Path], None]
) -> None:
    """The same files and types, the same commit, as clean or dirty; its own bytes, too."""
    state(fleet)
    original, copy = copied(fleet, tmp_path / "copy")
    assert copy.whole == original.whole
    assert not (tmp_path / "copy/unseen").exists()
    (fleet / "a").write_text("another edit")
    assert asyncio.run(snapshot(str(tmp_path / "copy"))).whole == original.whole


def test_a_copy_of_a_linked_work_tree(fleet: Path, tmp_path: Path) -> None:
    """The copy of a linked work tree has its own HEAD and index, and shares all objects."""
    git(fleet, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "linked"))
    (tmp_path / "linked/a").write_text("edited")
    original, copy = copied(tmp_path / "linked", tmp_path / "copy")
    assert copy.whole == original.whole
    assert git(tmp_path / "copy", "symbolic-ref", "HEAD") == "refs/heads/other"


def test_copying_leaves_the_repository_as_it_is(fleet: Path, tmp_path: Path) -> None:
    """Nothing is written into it, by git neither."""
    edit(fleet)
    before = {path: path.lstat().st_mtime_ns for path in fleet.rglob("*")}
    copied(fleet, tmp_path / "copy")
    assert before == {path: path.lstat().st_mtime_ns for path in fleet.rglob("*")}


def test_what_became_no_file_is_told(fleet: Path, tmp_path: Path) -> None:
    """A FIFO in a file's place would be waited for, for ever."""
    (fleet / "a").unlink()
    os.mkfifo(fleet / "a")
    with pytest.raises(StepError, match="is tracked as a file, and is none"):
        asyncio.run(copy_repository(fleet, tmp_path / "copy"))


def test_nothing_is_written_through_a_link(fleet: Path, tmp_path: Path) -> None:
    """Of a forged index that has a link and a file behind it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_text("theirs")
    (fleet / "evil").symlink_to(outside)
    blob = git(fleet, "hash-object", "-w", "a")
    lines = f"120000 {blob}\tevil\n100644 {blob}\tevil/x\n"
    argv = ("git", "-C", fleet, "update-index", "--replace", "--index-info")
    subprocess.run(argv, check=True, input=lines, text=True)
    try:
        asyncio.run(copy_repository(fleet, tmp_path / "copy"))
    except StepError as error:
        assert "cannot be copied" in error.message  # noqa: PT017 (both ends are good)
    assert [path.read_text() for path in outside.iterdir()] == ["theirs"]


@pytest.mark.parametrize("wrong", ["a", "d/b", "more"])
def test_what_is_not_the_tree_is_seen(fleet: Path, tmp_path: Path, wrong: str) -> None:
    """Another content, a file too few, a file too many."""
    _, tree = copied(fleet, tmp_path / "copy")
    source = tmp_path / "source"
    subprocess.run(("cp", "-a", tmp_path / "copy", source), check=True)
    subprocess.run(("rm", "-r", source / ".git"), check=True)
    assert is_of(source, tree)
    (source / wrong).write_text("other") if wrong != "d/b" else (source / wrong).unlink()
    assert not is_of(source, tree)
