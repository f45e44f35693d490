"""What git knows of a repository's secrets: one call of git's for each question, for all files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.changes.tree import place
from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.secrets.model.repository import Repository

_SECONDS = 60.0
_COMMIT = re.compile("\x01([0-9]+)")


async def root_of(folder: Path) -> Path | None:
    """Find the work tree that a folder is in; ``None`` where it is in none.

    Raises:
        StepError: It is in one, and git refuses it or is not there.
    """
    try:
        place.repository(str(folder))
    except StepError:
        return None
    done = await _git(folder, "rev-parse", "--show-toplevel")
    # Only git's own newline: a folder's name may end in white space.
    return Path(_text(done).removesuffix("\n")).resolve()


async def look(root: Path, folders: Sequence[str], paths: Sequence[str]) -> Repository:
    """Ask git about files of its work tree.

    Args:
        root: The work tree.
        folders: Where `.age` files are looked for: relative to the root.
        paths: Files that are asked about, whether they are there or not; relative to the root.

    Raises:
        StepError: git refused.
    """
    listed = await _git(root, "ls-files", "-z", "-t", "--cached", "--others", "--exclude-standard")
    entries = [entry.partition(" ") for entry in _split(listed)]
    tracked = frozenset(path for tag, _, path in entries if tag != "?")
    others = frozenset(path for tag, _, path in entries if tag == "?")
    unlisted = [path for path in paths if path not in tracked | others]
    below = tuple("" if folder in (".", "") else f"{folder}/" for folder in folders)
    secrets = {path for path in tracked | others if path.endswith(".age")}
    return Repository(
        tracked=tracked,
        ignored=await _ignored(root, unlisted),
        not_binary=await _not_binary(root, sorted({*paths, *secrets})),
        secrets=tuple(sorted(path for path in secrets if path.startswith(below))),
    )


async def changed(root: Path, folders: Sequence[str]) -> dict[str, datetime]:
    """When each ``.age`` file below some folders was committed last.

    Returns:
        Nothing where the history has no commit yet.

    Raises:
        StepError: git could not be started.
    """
    below = ("" if folder == "." else f"{_no_glob(folder)}/" for folder in folders)
    inside = (f":(top,glob){prefix}**/*.age" for prefix in below)
    words = ("log", "-z", "--format=%x01%ct", "--name-only", "--no-renames", "--", *inside)
    # Exit 128 where there is no commit.
    done = await _git(root, *words, fine=(0, 128))
    found: dict[str, datetime] = {}
    when = datetime.now(UTC)
    for word in _split(done):
        if commit := _COMMIT.fullmatch(word):
            when = datetime.fromtimestamp(int(commit[1]), UTC)
        else:
            found.setdefault(word.removeprefix("\n"), when)
    return found


def _no_glob(folder: str) -> str:
    return re.sub(r"([*?\[\\])", r"\\\1", folder)


async def _ignored(root: Path, paths: Sequence[str]) -> dict[str, str]:
    """Ignored files → the pattern that ignores them, as ``FILE:LINE: PATTERN``."""
    if not paths:
        return {}
    # Exit 1 says that none is ignored.
    done = await _git(root, "check-ignore", "-z", "-v", "--stdin", stdin=_join(paths), fine=(0, 1))
    found = {}
    for source, line, pattern, path in _rows(_split(done), 4):
        if not pattern.startswith("!"):
            found[path] = f"{source}:{line}: {pattern}"
    return found


async def _not_binary(root: Path, paths: Sequence[str]) -> frozenset[str]:
    """Files that git may take for text: gitattributes(5), ``text``."""
    if not paths:
        return frozenset()
    done = await _git(root, "check-attr", "-z", "--stdin", "text", stdin=_join(paths))
    rows = _rows(_split(done), 3)
    return frozenset(path for path, _, value in rows if value != "unset")


async def _git(
    folder: Path, *words: str, stdin: bytes = b"", fine: tuple[int, ...] = (0,)
) -> bytes:
    argv = ("git", "-C", str(folder), *words)
    done = await process.run(argv, deadline=_SECONDS, stdin=stdin)
    if done.rc not in fine:
        raise StepError(f"git {words[0]} failed in {folder}", stderr=done.err)
    return done.stdout


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def _split(data: bytes) -> list[str]:
    return _text(data).split("\0")[:-1]


def _join(paths: Sequence[str]) -> bytes:
    return b"".join(path.encode(errors="surrogateescape") + b"\0" for path in paths)


def _rows(fields: Sequence[str], width: int) -> Iterator[Sequence[str]]:
    return (fields[start : start + width] for start in range(0, len(fields), width))
