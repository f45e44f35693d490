"""Take down the tree: from what git says where it is clean, and from the files where it is not.

Nix reads a clean tree's files from the commit, and all tracked files of a dirty one from the work
tree. What git converts on the way (line ends, LFS) differs between the two, so there a file's value
names its bytes in both.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from orchestrator.changes.plan import ABSENT, GITLINK, Tree
from orchestrator.changes.tree.index import (
    SETTINGS,
    Status,
    conversions,
    fields,
    parse_index,
    parse_status,
)
from orchestrator.changes.tree.place import flake_folder, git_folder, repository
from orchestrator.core import git, process
from orchestrator.core.errors import StepError
from orchestrator.core.process import CommandResult

_SECONDS = 60.0


async def snapshot(folder: str) -> Tree:
    """Take down what git tracks in the repository that a folder lies in, at this moment.

    Nothing is written, into the index neither. What is checked out of submodules counts.

    Raises:
        StepError: It cannot be told what Nix would read; the message says why.
    """
    root = repository(folder)
    return await _snapshot(root, flake_folder(root, folder))


async def _snapshot(root: Path, flake: str) -> Tree:
    listed, changed, settings = await asyncio.gather(
        _git(root, "ls-files", "-s", "-v", "-z"),
        _git(
            root, "status", "--porcelain=v2", "--branch", "-z", "-uno", "--ignore-submodules=none"
        ),
        _git(root, "config", "-z", "--get-regexp", SETTINGS),
    )
    if listed.rc != 0 or changed.rc != 0:
        said = listed.err or changed.err
        from orchestrator.nix.reasons import reason

        why = reason(said)
        raise StepError(
            "git does not say what it tracks", hint=why.hint if why else None, stderr=said
        )
    index, status = parse_index(listed.stdout), parse_status(changed.stdout)
    unusual = conversions(root, index.entries, settings.stdout)
    if unusual.convert or unusual.indivisible or index.hidden:
        entries = _both(root, index.entries, status)
    else:
        entries = _work_tree(root, index.entries, status)
    for path, value in entries.items():
        if value.startswith(GITLINK) and (root / path / ".git").exists():
            inside = await _snapshot(root / path, "")
            entries[path] = f"{value} {inside.whole}"
    indivisible = unusual.indivisible or "skip-worktree or assume-unchanged" * index.hidden
    return Tree(str(root), entries, status.head, status.dirty, flake, indivisible)


def _work_tree(root: Path, entries: dict[str, str], status: Status) -> dict[str, str]:
    """Give every file of a dirty tree its value by its bytes, whatever git says of it.

    Git does not look again at a file that was not written since it looked last. That one may have
    been converted by attributes or settings that are there no more.
    """
    if not status.dirty:
        return entries
    _check_folders(root, entries)
    found = {}
    for path, staged in entries.items():
        # A submodule's own tree tells.
        value = staged if staged.startswith(GITLINK) else _value(root, path)
        if value is not None:
            found[path] = value
    return found


def _both(root: Path, entries: dict[str, str], status: Status) -> dict[str, str]:
    """Give a path both values where index and work tree differ in any way."""
    _check_folders(root, entries)
    found = {}
    for path, staged in entries.items():
        value = staged if staged.startswith(GITLINK) else _value(root, path)
        if value == staged:
            found[path] = staged
        else:
            shown = (value if status.dirty else staged) or ABSENT
            found[path] = f"{shown} {staged} {value}"
    return found


def _check_folders(root: Path, paths: Iterable[str]) -> None:
    """See that no link and no file took a folder's place: what is there is no part of any list.

    Raises:
        StepError: One did.
    """
    nearest = {PurePath(path.rpartition("/")[0]) for path in paths}
    for folder in sorted(nearest.union(*(place.parents for place in nearest))):
        try:
            mode = (root / folder).lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not stat.S_ISDIR(mode):
            raise StepError(f"{folder} is tracked as a folder, and is none")


def is_of(source: Path, tree: Tree) -> bool:
    """Whether a folder has a tree's files, each with the content that the tree says, and no other.

    Args:
        source: What Nix copied of a flake.
        tree: The tree; of its submodules nothing is known here.
    """
    files = {path: said for path, said in tree.entries.items() if not said.startswith(GITLINK)}
    modules = tuple(f"{path}/" for path in tree.entries.keys() - files.keys())
    there = (
        os.path.relpath(os.path.join(folder, name), source)  # noqa: PTH118 (thousands of them)
        for folder, _, names in os.walk(source)
        for name in names
    )
    if any(path not in files and not path.startswith(modules) for path in there):
        return False
    try:
        return all(str(_value(source, path)) in said for path, said in files.items())
    except StepError:
        return False


async def untracked_nix(tree: Tree) -> tuple[str, ...]:
    """Nix files that git does not track, in folders where it tracks others: Nix sees none of them.

    What ``.gitignore`` names is meant to be left out.
    """
    listed = await _git(
        Path(tree.root), "ls-files", "--others", "--exclude-standard", "-z", "--", "*.nix"
    )
    beside = {path.rpartition("/")[0] for path in tree.entries if path.endswith(".nix")}
    return tuple(path for path in fields(listed.stdout) if path.rpartition("/")[0] in beside)


async def at_revision(folder: str, revision: str) -> Tree:
    """The tree of a commit, as if it were checked out and clean.

    Raises:
        StepError: There is no such commit.
    """
    root = repository(folder)
    commit = await git.commit_named(str(root), revision)
    listed = await _git(root, "ls-tree", "-r", "-z", "--full-tree", commit)
    entries = {}
    for line in fields(listed.stdout):
        meta, _, path = line.partition("\t")
        mode, _, blob = meta.split(" ")
        entries[path] = f"{mode} {blob}"
    return Tree(str(root), entries, commit, False, flake_folder(root, folder))


def stamp(tree: Tree) -> str:
    """Digest of when each tracked file was changed last: equal before and after, nothing moved.

    A change that was rolled back in between shows here, and nowhere else.
    """
    root = Path(tree.root)
    digest = hashlib.sha256()
    # The log of what was checked out: a commit that is made and rolled back leaves its lines there.
    for place in (*_files(root, tree), str(git_folder(root) / "logs/HEAD")):
        try:
            found = os.lstat(place)
            facts = f"{place} {found.st_mode} {found.st_ino} {found.st_size} {found.st_ctime_ns}\n"
        except OSError:
            facts = f"{place} absent\n"
        digest.update(facts.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _files(root: Path, tree: Tree) -> Iterator[str]:
    """Where each tracked file is; of a submodule whatever is there."""
    for path, value in sorted(tree.entries.items()):
        yield os.path.join(root, path)  # noqa: PTH118 (thousands of them)
        if value.startswith(GITLINK):
            for folder, folders, files in os.walk(root / path):
                folders.sort()
                yield from (f"{folder}/{name}" for name in sorted((*folders, *files)))


def _value(root: Path, path: str) -> str | None:
    """A path's ``MODE ID`` by its bytes now; ``None`` where it is gone."""
    place = os.path.join(root, path)  # noqa: PTH118 (thousands of them)
    try:
        mode = os.lstat(place).st_mode
        if stat.S_ISLNK(mode):
            return f"120000 {_blob(os.fsencode(os.readlink(place)))}"  # noqa: PTH115
        if stat.S_ISREG(mode):
            kind = "100755" if mode & stat.S_IXUSR else "100644"
            with open(place, "rb", buffering=0) as file:  # noqa: PTH123
                return f"{kind} {_blob(file.read())}"
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StepError(f"{path} cannot be read: {error.strerror}") from error
    raise StepError(f"{path} is tracked as a file, and is none")


def _blob(content: bytes) -> str:
    """The id that git gives to these bytes: SHA-1 of a header and them (git-hash-object(1))."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


async def _git(root: Path, *words: str) -> CommandResult:
    # Nor is another program's word taken for what changed: git-config(1) "core.fsmonitor".
    argv = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(root), *words)
    return await process.run(argv, deadline=_SECONDS)
