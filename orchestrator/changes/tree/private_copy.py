"""A copy of a repository that nobody edits: as git and Nix see it, it is the repository itself.

The same tracked files byte for byte, the same commit checked out, the same index, the same
settings; git's objects are shared. What is not tracked is left out: Nix does not see it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from orchestrator.changes.plan import GITLINK
from orchestrator.changes.tree.index import parse_index
from orchestrator.changes.tree.place import common_folder, git_folder, place_in_copy
from orchestrator.core import process
from orchestrator.core.errors import StepError, cause_of
from orchestrator.core.together import together

_SECONDS = 120.0
_LONG_AGO = (946684800, 946684800)
"""Times for the copy's files: git looks again at each that is not older than its index."""


async def copy_repository(root: Path, into: Path) -> None:
    """Copy a repository's tracked files and what git knows of them, submodules too.

    Args:
        root: The work tree.
        into: Where to; it is made.

    Raises:
        StepError: Something cannot be read or written, or changed its kind meanwhile.
    """
    async with together() as group:
        listing = group.create_task(_git(root, "ls-files", "-s", "-v", "-z"))
        naming = group.create_task(_git(root, "rev-parse", "--quiet", "--verify", "HEAD", rc=1))
    entries, head = parse_index(listing.result()).entries, naming.result()
    try:
        await _copied(root, into, entries)
        if head:
            _set_head(into, head.decode().strip())
    except OSError as error:
        raise StepError(f"the fleet cannot be copied: {cause_of(error, named=True)}") from None
    for path, value in entries.items():
        if value.startswith(GITLINK) and (root / path / ".git").exists():
            (into / path).rmdir()
            await copy_repository(root / path, into / path)
    # Else git, and each Nix, would compare all the contents again; a hook is none of its business.
    await _git(into, "-c", "core.hooksPath=/dev/null", "update-index", "-q", "--refresh", rc=1)


async def _copied(root: Path, into: Path, entries: dict[str, str]) -> None:
    """Copy in a thread, which has ended when this has: whoever cancels removes the copy next."""
    stop = threading.Event()
    copying = asyncio.ensure_future(asyncio.to_thread(_copy, root, into, entries, stop))
    try:
        await asyncio.shield(copying)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait((copying,))
        if not copying.cancelled():
            copying.exception()
        raise


def _copy(root: Path, into: Path, entries: dict[str, str], stop: threading.Event) -> None:
    into.mkdir()
    _copy_git(git_folder(root), common_folder(root), into)
    links = []
    for path, value in entries.items():
        if stop.is_set():
            return
        source, target = root / path, place_in_copy(into, path)
        try:
            mode = source.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if value.startswith(GITLINK):
            target.mkdir()
        elif stat.S_ISLNK(mode):
            links.append((target, os.readlink(source)))  # noqa: PTH115
        else:
            _copy_file(source, target, mode)
    # The last: nothing is written through one of them.
    for target, leads_to in links:
        target.symlink_to(leads_to)
        os.utime(target, _LONG_AGO, follow_symlinks=False)


def _copy_file(source: Path, target: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise StepError(f"{source} is tracked as a file, and is none")
    with (
        open(os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as read,  # noqa: PTH123
        target.open("xb") as written,
    ):
        shutil.copyfileobj(read, written)
        os.fchmod(written.fileno(), 0o755 if mode & stat.S_IXUSR else 0o644)
    os.utime(target, _LONG_AGO)


def _copy_git(own: Path, common: Path, into: Path) -> None:
    """Make the copy's ``.git``: gitrepository-layout(5)."""
    git = into / ".git"
    (git / "info").mkdir(parents=True)
    (git / "refs").mkdir()
    (git / "objects").symlink_to((common / "objects").resolve())
    for folder, name in (*_own(own), (common, "shallow"), (common, "info/attributes")):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, git / name)
    (git / "config").write_text(_config(own, common, into), errors="surrogateescape")


def _own(own: Path) -> Iterator[tuple[Path, str]]:
    """What a work tree has for itself: where its HEAD is, and its index, in one part or in two."""
    yield own, "HEAD"
    yield own, "index"
    yield from ((own, file.name) for file in own.glob("sharedindex.*"))


def _config(own: Path, common: Path, into: Path) -> str:
    """Git's settings: the repository's, but for its place."""
    files: Iterable[Path] = (common / "config", own / "config.worktree")
    lines = [f"[include]\n\tpath = {_quoted(file)}\n" for file in files if file.is_file()]
    return "".join((*lines, f"[core]\n\tbare = false\n\tworktree = {_quoted(into)}\n"))


def _quoted(path: Path) -> str:
    text = str(path.resolve()).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def _set_head(copy: Path, commit: str) -> None:
    """Let the branch that a copy's HEAD names be at a commit."""
    head = (copy / ".git/HEAD").read_text().strip()
    if not head.startswith("ref: "):
        return
    parts = head.removeprefix("ref: ").split("/")
    if parts[0] != "refs" or any(part in ("", ".", "..") for part in parts):
        raise StepError(f"git's HEAD is {head!r}, which is no branch")
    place = (copy / ".git").joinpath(*parts)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"{commit}\n")


async def _git(root: Path, *words: str, rc: int = 0) -> bytes:
    argv = ("git", "-c", "core.fsmonitor=false", "-C", str(root), *words)
    done = await process.run(argv, deadline=_SECONDS)
    if done.rc not in (0, rc):
        raise StepError("git does not say what it tracks", stderr=done.err)
    return done.stdout
