"""From system calls to what of a tree was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from orchestrator.changes.model import Access
from orchestrator.changes.tracing.tracer import Call

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
