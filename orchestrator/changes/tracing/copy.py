"""A tree's files, exactly as Nix would read them, in a folder of their own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from orchestrator.changes.tree.model import ABSENT, GITLINK, Tree
from orchestrator.changes.tree.place import place_in_copy
from orchestrator.core import process
from orchestrator.core.bounds import FILES
from orchestrator.core.errors import StepError

_LINK = "120000"
_EXECUTABLE = "100755"
_SECONDS = 300.0


async def copy(tree: Tree, folder: Path) -> Mapping[str, str]:
    """Write the tree's files, modes and links; submodules become empty folders.

    Args:
        tree: The snapshot.
        folder: Where to; it is made.

    Returns:
        The symbolic links: path to target.

    Raises:
        StepError: A file changed since the snapshot, or git does not give it.
    """
    elsewhere = _from_work_tree(tree, folder)
    if elsewhere:
        blobs = await _blobs(tree, sorted(set(elsewhere.values())))
        for path, blob in elsewhere.items():
            _write(folder, path, tree.entries[path], blobs[blob])
    return _links(tree, folder)


def _from_work_tree(tree: Tree, folder: Path) -> Mapping[str, str]:
    """Copy what is in the work tree as it is in the snapshot, and name the blobs of the rest."""
    folder.mkdir()
    elsewhere = {}
    for path, value in tree.entries.items():
        mode, blob = value.split(" ")[:2]
        if mode == ABSENT:
            continue
        place = place_in_copy(folder, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        if mode == GITLINK:
            place.mkdir()
            continue
        content = _content(Path(tree.root, path), mode)
        if content is not None and _blob(content) == blob:
            _write(folder, path, value, content)
        else:
            elsewhere[path] = blob
    return elsewhere


def _content(place: Path, mode: str) -> bytes | None:
    """What the work tree holds, a link's target for a link; ``None`` where it is something else."""
    try:
        if mode == _LINK:
            return os.fsencode(place.readlink())
        return None if place.is_symlink() else place.read_bytes()
    except OSError:
        return None


def _write(folder: Path, path: str, value: str, content: bytes) -> None:
    place = folder / path
    try:
        if value.startswith(_LINK):
            place.symlink_to(os.fsdecode(content))
            return
        with place.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise StepError(f"{path} cannot be copied: {error.strerror}") from error
    place.chmod(0o755 if value.startswith(_EXECUTABLE) else 0o644)


def _links(tree: Tree, folder: Path) -> Mapping[str, str]:
    names = (path for path, value in tree.entries.items() if value.startswith(_LINK))
    return {path: str((folder / path).readlink()) for path in names}


def _blob(content: bytes) -> str:
    """The id that git gives to these bytes: SHA-1 of a header and them (git-hash-object(1))."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


async def _blobs(tree: Tree, ids: list[str]) -> Mapping[str, bytes]:
    """Read blobs as they are in the repository, without any of git's conversions.

    ``git cat-file --batch`` answers with ``ID TYPE SIZE``, a newline, the bytes, a newline.
    """
    argv = ("git", "--no-optional-locks", "-C", tree.root, "cat-file", "--batch")
    elsewhere = dict.fromkeys(("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"))
    question = "".join(f"{blob}\n" for blob in ids).encode()
    done = await process.run(argv, deadline=_SECONDS, stdin=question, env=elsewhere, bound=FILES)
    found, at = {}, 0
    for blob in ids:
        end = done.stdout.find(b"\n", at)
        words = done.stdout[at:end].split(b" ")
        if end < 0 or len(words) != 3:
            raise StepError("a file changed since it was looked at", stderr=done.err)
        size = int(words[2])
        found[blob] = done.stdout[end + 1 : end + 1 + size]
        at = end + size + 2
    return found
