"""The twin evaluation: what a host reads of the fleet, or that it depends on all of it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrator.changes.plan import ABSENT, GITLINK, Tree
from orchestrator.changes.tracing.evaluation import Evaluation, Trace
from orchestrator.changes.tracing.tracer import Tracer, added, workplace
from orchestrator.changes.tree.place import place_in_copy
from orchestrator.core import process
from orchestrator.core.bounds import FILES
from orchestrator.core.errors import StepError
from orchestrator.core.store import DrvPath
from orchestrator.core.values import replace
from orchestrator.nix.context import fresh_cache
from orchestrator.nix.verbs import Flake

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


DUMMY = ".orchestrator-twin"
"""The file that a twin has beside the tree's own; its content is new each time."""


async def trace(
    flake: Flake,
    attr: str,
    tree: Tree,
    tracer: Tracer,
    *,
    deadline: float,
    expected: DrvPath | None = None,
    env: Mapping[str, str | None] | None = None,
    on_start: Callable[[int], None] | None = None,
) -> Trace:
    """Evaluate the twin of a host's system, traced.

    Args:
        flake: The flake in the tree.
        attr: The host's attribute below ``nixosConfigurations``.
        tree: The snapshot whose evaluation is to be learned.
        tracer: The way to see what is read.
        deadline: Seconds for all of it.
        expected: What the tree itself evaluates to: where the twin gives another, nothing more is
            tried.
        env: Set on top of this process's environment.
        on_start: Called with the id of each process that is started, one after the other.

    Raises:
        OutOfMemoryError: There was not enough memory, or Nix was killed.
        StepError: The evaluation was not seen or took too long, or the tree changed since its
            snapshot.
    """
    fragment = flake.toplevel(attr).partition("#")[2]
    evaluation = Evaluation(flake, fragment, tree, env or {}, on_start)
    return await _trace_within(deadline, evaluation, tracer, expected)


async def trace_fragment(
    flake: Flake,
    fragment: str,
    tree: Tree,
    tracer: Tracer,
    *,
    deadline: float,
    expected: DrvPath | None = None,
) -> Trace:
    """Do the same for any attribute of the flake: what stands after ``#``."""
    return await _trace_within(deadline, Evaluation(flake, fragment, tree, {}), tracer, expected)


async def _trace_within(
    deadline: float, evaluation: Evaluation, tracer: Tracer, expected: DrvPath | None
) -> Trace:
    try:
        async with asyncio.timeout(deadline), workplace() as folder:
            env = {**evaluation.env, **fresh_cache(folder / "cache")}
            return await _trace(replace(evaluation, env=env), tracer, folder, expected)
    except TimeoutError:
        raise StepError(f"the traced evaluation did not end within {deadline:.0f} s") from None


async def _trace(
    evaluation: Evaluation, tracer: Tracer, folder: Path, expected: DrvPath | None
) -> Trace:
    tree, source = evaluation.tree, folder / "source"
    links = await copy(tree, source)
    # A twin for each evaluation: what one of them copied from it into the store, another would
    # find there, and not read.
    (source / DUMMY).write_text(secrets.token_hex(32))
    async with added(source) as twin:
        seen = await evaluation.traced(twin, links, tracer, folder / "log")
        if seen.drv is None or tree.dirty or expected not in (None, seen.drv):
            return seen
        # A `path:` has no commit to be dirty against: whether the result depends on that
        # (`self.dirtyRev`), a second twin tells.
        await make_repository(tree, source)
        if await evaluation.of_repository(source) != seen.drv:
            return Trace(None, seen.accesses, "it depends on whether the tree is clean")
        return seen
