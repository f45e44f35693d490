"""What git says of files, and where a work tree's bytes are not the commit's."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from orchestrator.changes.tree.place import common_folder
from orchestrator.core.errors import StepError
from orchestrator.core.machine import home


class Index(Struct, frozen=True):
    """The index.

    Attributes:
        entries: Path to ``MODE ID``.
        hidden: Whether git was told not to look at some files (git-update-index(1)).
    """

    entries: dict[str, str]
    hidden: bool


class Status(Struct, frozen=True):
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


# gitattributes(5).
_CONVERT = re.compile(rb"(?<![-!\w])(text|crlf|eol|ident|filter|working-tree-encoding)\b")
_EXPORT = re.compile(rb"(?<![-!\w])export-(subst|ignore)\b")

SETTINGS = (
    r"^core\.(autocrlf|eol|attributesfile|filemode|symlinks|trustctime|checkstat|ignorestat)$"
)
"""What ``git config --get-regexp`` is asked for: git-config(1)."""

_CONVERTING = ("core.autocrlf", "core.eol", "core.attributesfile")
_USUAL = {
    "core.autocrlf\nfalse",
    "core.filemode\ntrue",
    "core.symlinks\ntrue",
    "core.trustctime\ntrue",
    "core.checkstat\ndefault",
    "core.ignorestat\nfalse",
}


class Conversions(Struct, frozen=True):
    """What is unusual about a repository.

    Attributes:
        convert: Whether bytes may be converted on their way into the work tree.
        indivisible: Why single files cannot be relied on; empty where they can.
    """

    convert: bool = False
    indivisible: str = ""


def conversions(root: Path, paths: Iterable[str], settings: bytes) -> Conversions:
    """Look at a repository's attributes and settings.

    Args:
        root: The work tree.
        paths: What is tracked.
        settings: What ``git config -z --get-regexp`` gives for :data:`SETTINGS`.
    """
    attributes = _attributes(root, paths)
    unusual = [line.split("\n")[0] for line in fields(settings) if line not in _USUAL]
    reasons = [name for name in unusual if name not in _CONVERTING]
    if _EXPORT.search(attributes):
        reasons.append("export-ignore or export-subst")
    return Conversions(
        convert=bool(unusual) or _CONVERT.search(attributes) is not None,
        indivisible=", ".join(reasons),
    )


def _attributes(root: Path, paths: Iterable[str]) -> bytes:
    """All that ``.gitattributes`` and their like say."""
    own = [root / path for path in paths if path.endswith(".gitattributes")]
    config = os.environ.get("XDG_CONFIG_HOME") or home() / ".config"
    person, machine = Path(config, "git/attributes"), Path("/etc/gitattributes")
    others = (common_folder(root) / "info/attributes", person, machine)
    return b"\n".join(file.read_bytes() for file in (*own, *others) if file.is_file())
