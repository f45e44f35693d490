"""The twin's files: exactly what the snapshot tells."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from orchestrator.changes.plan import Tree
from orchestrator.changes.tracing.twin import copy
from orchestrator.changes.tree.snapshot import snapshot
from orchestrator.core.errors import StepError


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A commit with files of each kind; one is converted on its way to the work tree."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "fleet")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "fleet@example.org")
    root = tmp_path / "repository"
    (root / "sub").mkdir(parents=True)
    (root / "flake.nix").write_text("{ }\n")
    (root / "sub/tool").write_text("#!/bin/sh\n")
    (root / "sub/tool").chmod(0o755)
    (root / "sub/link").symlink_to("../nowhere")
    (root / ".gitattributes").write_text("*.txt text eol=crlf\n")
    (root / "lines.txt").write_bytes(b"one\r\ntwo\r\n")
    (root / os.fsdecode(b"odd \xff\n")).write_bytes(b"\x00\xff")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    return root


def git(root: Path, *words: str) -> None:
    """Run git."""
    subprocess.run(["git", "-C", root, *words], check=True, capture_output=True)


def copied(root: Path, target: Path) -> Path:
    """Copy the repository as it is."""

    async def both() -> None:
        await copy(await snapshot(str(root)), target)

    asyncio.run(both())
    return target


def test_a_clean_tree_is_copied_as_it_was_committed(repository: Path, tmp_path: Path) -> None:
    """Contents, execute bits, links, odd names; the commit's line ends, not the work tree's."""
    copy = copied(repository, tmp_path / "copy")
    assert (copy / "lines.txt").read_bytes() == b"one\ntwo\n"
    assert (copy / "sub/tool").stat().st_mode & 0o777 == 0o755
    assert (copy / "flake.nix").stat().st_mode & 0o777 == 0o644
    assert os.readlink(copy / "sub/link") == "../nowhere"  # noqa: PTH115
    assert (copy / os.fsdecode(b"odd \xff\n")).read_bytes() == b"\x00\xff"


def test_a_dirty_tree_is_copied_as_it_lies_there(repository: Path, tmp_path: Path) -> None:
    """The work tree's bytes for all that is tracked, and nothing that is not."""
    (repository / "flake.nix").write_text("{ dirty = 1; }\n")
    (repository / "untracked").touch()
    (repository / "sub/tool").unlink()
    copy = copied(repository, tmp_path / "copy")
    assert (copy / "flake.nix").read_text() == "{ dirty = 1; }\n"
    assert (copy / "lines.txt").read_bytes() == b"one\r\ntwo\r\n"
    assert not (copy / "untracked").exists()
    assert not (copy / "sub/tool").exists()


def test_a_submodule_is_an_empty_folder(tmp_path: Path) -> None:
    """A submodule is an empty folder in the copy, as Nix sees it unless it is to enter."""
    (tmp_path / "root").mkdir()
    tree = Tree(str(tmp_path / "root"), {"deep/module": f"160000 {'1' * 40}"})
    asyncio.run(copy(tree, tmp_path / "copy"))
    assert list((tmp_path / "copy/deep/module").iterdir()) == []


def test_a_file_that_changed_since_is_an_error(repository: Path, tmp_path: Path) -> None:
    """A twin of something that never was would teach wrongly."""
    (repository / "flake.nix").write_text("{ dirty = 1; }\n")
    tree = asyncio.run(snapshot(str(repository)))
    (repository / "flake.nix").write_text("{ dirty = 2; }\n")
    with pytest.raises(StepError, match="changed since"):
        asyncio.run(copy(tree, tmp_path / "copy"))


@pytest.mark.parametrize("path", ["../out", "a/../../out", ".git/config", "/etc/x"])
def test_no_path_leads_out_of_the_copy(tmp_path: Path, path: str) -> None:
    """Git lets none into its index; we let none out of it."""
    (tmp_path / "root").mkdir()
    with pytest.raises(StepError, match="no path in a tree"):
        asyncio.run(copy(Tree(str(tmp_path), {path: f"100644 {'1' * 40}"}), tmp_path / "copy"))
