"""What a real git says of secrets."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.core.errors import StepError
from orchestrator.secrets.files.repository import look, root_of
from orchestrator.secrets.model.repository import Repository


def git(root: Path, *words: str) -> None:
    """Run git in a folder."""
    subprocess.run(("git", *words), cwd=root, check=True, capture_output=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty work tree."""
    git(tmp_path, "init", "-q")
    return tmp_path


def write(root: Path, *paths: str) -> None:
    """Write files."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("content")


def ask(root: Path, paths: Sequence[str], folder: str = ".") -> Repository:
    """Ask git about files."""
    return asyncio.run(look(root, (folder,), paths))


def test_tracked_untracked_and_ignored_files_are_told_apart(root: Path) -> None:
    """Ignored and yet tracked is tracked; deleted from the index and there is not tracked."""
    files = ["tracked.age", "forced.age", "removed.age", "new.age", "ignored.age"]
    write(root, *files)
    (root / ".gitignore").write_text("forced.age\nignored*\n")
    git(root, "add", "-f", "tracked.age", "forced.age", "removed.age")
    git(root, "rm", "-q", "--cached", "removed.age")
    found = ask(root, [*files, "none.age"])
    assert found.tracked == {"tracked.age", "forced.age"}
    assert found.ignored == {"ignored.age": ".gitignore:2: ignored*"}
    assert found.secrets == ("forced.age", "new.age", "removed.age", "tracked.age")


def test_a_pattern_that_takes_back_does_not_ignore(root: Path) -> None:
    """A pattern ``!name`` in .gitignore, gitignore(5), means that the file is not ignored."""
    write(root, "a.age", "b.age")
    (root / ".gitignore").write_text("*.age\n!a.age\n")
    assert set(ask(root, ["a.age", "b.age"]).ignored) == {"b.age"}


def test_names_may_have_any_characters(root: Path) -> None:
    """A leading dash, quotes, newlines, bytes that are no text."""
    names = ["-rf.age", "a b.age", 'q"q.age', "n\nn.age", ":(top)x.age", "*.age", "ä.age"]
    write(root, *names, "b\udcff.age")
    git(root, "add", "-A")
    found = ask(root, names)
    assert found.tracked == {*names, "b\udcff.age"}
    assert found.ignored == {}


def test_only_unset_text_is_binary(root: Path) -> None:
    """``binary`` and ``-text`` are; silence, ``text`` and ``text=auto`` are not."""
    names = ["binary.age", "minus.age", "silent.age", "text.age", "auto.age"]
    write(root, *names)
    (root / ".gitattributes").write_text(
        "binary.age binary\nminus.age -text\ntext.age text\nauto.age text=auto\n"
    )
    assert ask(root, names).not_binary == {"silent.age", "text.age", "auto.age"}


def test_secrets_are_looked_for_below_the_rules(root: Path) -> None:
    """Another folder may have rules of its own."""
    write(root, "a/one.age", "ab/two.age", "three.age")
    assert ask(root, [], "a").secrets == ("a/one.age",)
    assert ask(root, []).secrets == ("a/one.age", "ab/two.age", "three.age")


def test_the_work_tree_is_found_from_any_folder(root: Path) -> None:
    """The work tree is found from any folder in it, and none from outside."""
    inner = root / "inner \n"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "deep").mkdir()
    assert asyncio.run(root_of(inner / "deep")) == inner
    assert asyncio.run(root_of(Path("/"))) is None


def test_a_work_tree_that_git_refuses_is_not_none(root: Path) -> None:
    """Else nothing of git would be checked, and nobody told."""
    (root / "inner").mkdir()
    (root / "inner/.git").write_text("garbage")
    with pytest.raises(StepError, match="git rev-parse failed"):
        asyncio.run(root_of(root / "inner"))


def test_a_repository_that_git_cannot_read_is_an_error(root: Path) -> None:
    """A git index that cannot be read is an error and never an empty answer."""
    (root / ".git/index").write_bytes(b"garbage")
    with pytest.raises(StepError, match="git ls-files failed"):
        ask(root, ["a.age"])
