"""The protocol: see a command's system calls, and make them questions about a tree."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

from orchestrator.changes.plan import Access
from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.core.machine import home, temporary


def cache_folder() -> Path:
    """The tracer's folder in the person's cache, made where it is missing, for nobody else."""
    base = os.environ.get("XDG_CACHE_HOME") or home() / ".cache"
    folder = Path(base, "orchestrator", "tracing").absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


@asynccontextmanager
async def workplace() -> AsyncIterator[Path]:
    """Make a folder for nobody else."""
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-", dir=temporary())).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_SECONDS = 600.0


@asynccontextmanager
async def added(folder: Path) -> AsyncIterator[str]:
    """Add a folder, give its path in the store, and delete it afterwards if nothing keeps it.

    Raises:
        StepError: It cannot be added.
    """
    argv = ("nix-store", "--add", str(folder))
    done = await process.run(argv, deadline=_SECONDS)
    if done.rc != 0:
        raise StepError("the twin cannot be added to the store", stderr=done.err)
    try:
        yield done.out
    finally:
        # To its end even where we are cancelled: it is short, and nobody else will do it.
        deleting = asyncio.ensure_future(_delete(done.out))
        try:
            await asyncio.shield(deleting)
        except asyncio.CancelledError:
            await asyncio.wait((deleting,))
            raise


async def _delete(path: str) -> None:
    """With what was derived from it, which is of no use to anybody."""
    with suppress(StepError):
        query = ("nix-store", "--query", "--referrers-closure", path)
        found = await process.run(query, deadline=_SECONDS)
        await process.run(("nix-store", "--delete", *found.out.split()), deadline=_SECONDS)


Call = tuple[str, str]
"""``open``, ``stat`` or ``readlink``, and a path: absolute where that is known."""


class Tracer(Protocol):
    """One way to see which files below a folder a command asks for.

    The folder is named, not its place: its name is unlike any other's, as those in the Nix store.
    """

    @property
    def name(self) -> str:
        """What to call it."""

    def command(self, log: Path) -> tuple[str, ...]:
        """The words to put before the command."""

    def environment(self, log: Path, folder: str) -> Mapping[str, str]:
        """The variables to set for it."""

    def calls(self, log: Path, folder: str) -> Iterator[Call]:
        """What was seen of the folder.

        Raises:
            StepError: The log is not understood, or is not whole.
        """


_MOST_LINKS = 40
"""How many symbolic links the kernel follows: path_resolution(7)."""


def accesses(calls: Iterable[Call], folder: str, links: Mapping[str, str]) -> frozenset[Access]:
    """Put calls in terms of a tree.

    Whoever follows a symbolic link, Nix or the kernel: the link was read, and what it leads to.

    Args:
        calls: What was seen.
        folder: The name of the tree's folder.
        links: The tree's symbolic links: path to target.
    """
    found: set[Access] = set()
    for call, path in set(calls):
        # A lock beside it, such as `FOLDER.lock`, is no part of it.
        names = path.split("/")
        if folder in names:
            found.update(_resolve(call, names[names.index(folder) + 1 :], folder, links))
    return frozenset(found)


def _resolve(
    call: str, names: list[str], folder: str, links: Mapping[str, str]
) -> Iterator[Access]:
    here: list[str] = []
    left = names[::-1]
    followed = 0
    while left:
        name = left.pop()
        if name in ("", "."):
            continue
        if name == "..":
            if not here:
                return  # out of the tree
            here.pop()
            continue
        here.append(name)
        path = "/".join(here)
        if path not in links or followed == _MOST_LINKS:
            continue
        if call == "readlink" and not left:
            break
        yield "readlink", path
        followed += 1
        target = links[path].split("/")
        here.pop()
        if target[0] == "":
            if folder not in target:
                return  # out of the tree
            here, target = [], target[target.index(folder) + 1 :]
        left.extend(target[::-1])
    yield call, "/".join(here)
