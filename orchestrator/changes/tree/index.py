"""What ``git ls-files`` and ``git status`` print, read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.core.errors import StepError


@dataclass(frozen=True, slots=True)
class Index:
    """The index.

    Attributes:
        entries: Path to ``MODE ID``.
        hidden: Whether git was told not to look at some files (git-update-index(1)).
    """

    entries: dict[str, str]
    hidden: bool


@dataclass(frozen=True, slots=True)
class Status:
    """How commit, index and work tree differ.

    Attributes:
        head: The commit; ``None`` before the first.
        dirty: Whether anything differs from it.
    """

    head: str | None
    dirty: bool


def parse_index(output: bytes) -> Index:
    """Read ``git ls-files -s -v -z``: ``TAG MODE ID STAGE<tab>PATH``.

    Raises:
        StepError: A path has a conflict.
    """
    entries = {}
    hidden = False
    for line in fields(output):
        meta, _, path = line.partition("\t")
        tag, mode, blob, stage = meta.split(" ")
        if stage != "0":
            raise StepError(f"{path} has a conflict")
        entries[path] = f"{mode} {blob}"
        # `h`: assume-unchanged; `S`: skip-worktree.
        hidden = hidden or tag == "S" or tag.islower()
    return Index(entries, hidden)


def parse_status(output: bytes) -> Status:
    """Read ``git status --porcelain=v2 --branch -z -uno``: git-status(1).

    Raises:
        StepError: A path has a conflict.
    """
    head: str | None = None
    dirty = False
    lines = fields(output)
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "#":
            name, _, value = rest.partition(" ")
            head = value if name == "branch.oid" and value != "(initial)" else head
            continue
        dirty = True
        if kind == "u":
            raise StepError(f"{rest.split(' ', 9)[-1]} has a conflict")
        if kind == "2":
            next(lines)  # what it was called before
    return Status(head, dirty)


def fields(output: bytes) -> Iterator[str]:
    """Split what ``-z`` ends with NUL; bytes that are no UTF-8 survive."""
    return (field for field in output.decode(errors="surrogateescape").split("\0") if field)
