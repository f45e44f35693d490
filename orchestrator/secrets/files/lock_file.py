"""``secrets.lock.json``: which recipients each file was encrypted to, beside ``secrets.nix``.

A header hides who an X25519 recipient is. Whoever encrypts knows, and writes it down here, together
with the header's hash: an entry counts only as long as the file is the one that it speaks of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from orchestrator.core.errors import UsageError
from orchestrator.core.json_text import parse_json
from orchestrator.secrets.files.files import FileReadError, read
from orchestrator.secrets.model.lock import LockEntry

NAME = "secrets.lock.json"
_VERSION = 1
_MOST = 64 * 2**20
_NOT_OURS = (FileReadError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


def read_lock(root: str, path: str) -> dict[str, LockEntry]:
    """Read the entries, by the secrets' paths relative to the root; none where there is no file.

    Args:
        root: The repository's real path.
        path: The file, relative to it.

    Raises:
        UsageError: It is not what we write.
    """
    try:
        content = read(root, path, _MOST)
        return parse(content.data) if content else {}
    except _NOT_OURS as error:
        raise UsageError(
            f"{path} cannot be used: {error}",
            hint="take it from git again, or remove it and run: orchestrator secrets rekey --all",
        ) from None


def parse(data: bytes) -> dict[str, LockEntry]:
    """Read entries; :func:`form` is the other way.

    Raises:
        ValueError: It is no JSON, or of another version.
        KeyError: It lacks a part.
    """
    said = parse_json(data)
    if said["version"] != _VERSION:
        raise ValueError(f"it is of version {said['version']}, not {_VERSION}")
    return {
        path: LockEntry(str(one["header"]), frozenset(map(str, one["recipients"])))
        for path, one in said["secrets"].items()
    }


def form(entries: Mapping[str, LockEntry]) -> bytes:
    """Write entries, sorted, a line to each value: so that git shows and merges what changed."""
    secrets = {
        path: {"header": entry.header, "recipients": sorted(entry.recipients)}
        for path, entry in sorted(entries.items())
    }
    return (json.dumps({"version": _VERSION, "secrets": secrets}, indent=2) + "\n").encode()
