"""The journal of a change, as a file: ``plan`` while it is prepared, ``journal`` once committed.

One rename(2) of the one to the other is the moment in which a change of many files becomes true.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath

from orchestrator.core import beneath
from orchestrator.core.errors import StepError
from orchestrator.core.json_text import parse_json
from orchestrator.secrets.files import files
from orchestrator.secrets.files.places import is_inside
from orchestrator.secrets.model.journal import Journal, Replacement

FOLDER = ".orchestrator-secrets"
"""Beside ``secrets.nix``, for as long as a change goes on."""

VERSION = 1

_STAGED = re.compile(r"\.orchestrator-[0-9a-f]{8}-[0-9]+")
_PLAN = "plan"
_JOURNAL = "journal"
_MOST = 64 * 2**20
_NOT_OURS = (ValueError, KeyError, TypeError, RecursionError)
_LOOK = (
    f"look at the secrets with: git status; then remove the folder {FOLDER} "
    "and run: orchestrator secrets check"
)


def write_plan(root: Path, journal: Journal) -> None:
    """Write down what is about to be staged, before anything is.

    Raises:
        OSError: It cannot be written.
    """
    text = json.dumps({"version": VERSION, **asdict(replace(journal, committed=False))})
    beneath.write_new(root, f"{FOLDER}/{_PLAN}", text.encode(), 0o600)
    beneath.sync(root, FOLDER)
    beneath.sync(root, ".")


def commit_plan(root: Path) -> None:
    """Make the change true: from here on it only goes forward.

    Raises:
        OSError: The rename failed; the change is not true.
    """
    beneath.move(root, f"{FOLDER}/{_PLAN}", f"{FOLDER}/{_JOURNAL}")
    beneath.sync(root, FOLDER)


def read(root: Path) -> Journal | None:
    """Read what was begun and has not ended.

    Returns:
        ``None`` where there is nothing, or a plan that was cut off before anything was staged.

    Raises:
        StepError: A committed journal cannot be read or believed.
    """
    if (committed := _text(root, _JOURNAL)) is not None:
        try:
            return replace(_parse(committed), committed=True)
        except _NOT_OURS as error:
            raise StepError(
                f"{root / FOLDER / _JOURNAL}: the journal of an interrupted change is damaged, "
                f"or a newer orchestrator's ({error}). Nothing was touched",
                hint=_LOOK,
            ) from error
    plan = _text(root, _PLAN)
    try:
        return None if plan is None else _parse(plan)
    except _NOT_OURS:
        # Nothing is staged before the whole plan is on the disk.
        return None


def forget(root: Path) -> None:
    """Remove the journal: the change has ended, one way or the other.

    Raises:
        OSError: It cannot be removed.
    """
    for name in (_PLAN, _JOURNAL):
        beneath.remove(root, f"{FOLDER}/{name}")
    beneath.sync(root, FOLDER)


def _text(root: Path, name: str) -> bytes | None:
    """Read a file that a mere check reads, too, in anybody's repository."""
    try:
        content = files.read(str(root.resolve()), f"{FOLDER}/{name}", _MOST)
    except files.FileReadError as error:
        why = str(error)
    else:
        if content is None or content.whole:
            return content.data if content is not None else None
        why = f"has more than {_MOST >> 20} MiB"
    raise StepError(
        f"{root / FOLDER / name}: the journal of an interrupted change {why}. Nothing was touched",
        hint=_LOOK,
    )


def _parse(text: bytes) -> Journal:
    fields = parse_json(text)
    if fields["version"] != VERSION:
        raise ValueError(f"version {fields['version']}")
    replacements = tuple(
        Replacement(_inside(one["path"]), _staged(one), one["old"], str(one["new"]))
        for one in fields["replacements"]
    )
    folders = tuple(_inside(folder) for folder in fields["folders"])
    return Journal(str(fields["id"]), str(fields["what"]), replacements, folders)


def _inside(path: str) -> str:
    """Believe no journal that leads out of the repository, or into what git keeps there."""
    if not is_inside(path):
        raise ValueError(f"it names {path!r}")
    return path


def _staged(one: Mapping[str, str]) -> str:
    """Believe no journal that takes another file than one of ours for staged: it is removed."""
    staged, path = PurePosixPath(one["staged"]), PurePosixPath(one["path"])
    if staged.parent != path.parent or not _STAGED.fullmatch(staged.name):
        raise ValueError(f"it names {str(staged)!r} as staged for {str(path)!r}")
    return _inside(one["staged"])
