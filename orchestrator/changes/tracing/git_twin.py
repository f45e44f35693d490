"""The twin as a repository with uncommitted changes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from orchestrator.changes.tree.model import GITLINK, Tree
from orchestrator.core import process
from orchestrator.core.errors import StepError

_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
# Nix reads a dirty tree's files from the work tree: what the index says of them is not asked.
_NO_BLOB = "1" * 40
_NOBODY = {
    "GIT_AUTHOR_NAME": "twin",
    "GIT_AUTHOR_EMAIL": "twin",
    "GIT_AUTHOR_DATE": "946684800 +0000",
    "GIT_COMMITTER_NAME": "twin",
    "GIT_COMMITTER_EMAIL": "twin",
    "GIT_COMMITTER_DATE": "946684800 +0000",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


async def make_repository(tree: Tree, folder: Path) -> None:
    """Let git track all files of a copy; its only commit is an empty one.

    Each submodule's empty folder becomes a repository, too: a flake may want to enter it.

    Raises:
        StepError: git fails.
    """
    modes = {path: value[:6] for path, value in tree.entries.items() if value[:3] in {"100", "120"}}
    # Whatever else was put beside them.
    modes = {item.name: "100644" for item in folder.iterdir() if item.is_file()} | modes
    await _track(folder, modes)
    for path, value in tree.entries.items():
        if value.startswith(GITLINK):
            await _track(folder / path, {})


async def _track(folder: Path, modes: Mapping[str, str]) -> None:
    lines = "".join(f"{mode} {_NO_BLOB}\t{path}\0" for path, mode in modes.items())
    await _git(folder, "init", "--quiet")
    await _git(
        *(folder, "update-index", "-z", "--index-info"),
        stdin=lines.encode(errors="surrogateescape"),
    )
    commit = await _git(folder, "commit-tree", "-m", "twin", _EMPTY_TREE)
    await _git(folder, "update-ref", "HEAD", commit)


async def _git(folder: Path, *words: str, stdin: bytes = b"") -> str:
    elsewhere = dict.fromkeys(("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"))
    argv = ("git", "-C", str(folder), *words)
    done = await process.run(argv, deadline=300, stdin=stdin, env={**_NOBODY, **elsewhere})
    if done.rc != 0:
        raise StepError(f"git {words[0]} failed in the twin", stderr=done.err)
    return done.out
