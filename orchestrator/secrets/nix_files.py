"""The repository's Nix files, read to look for values that were written into them."""

from __future__ import annotations

from pathlib import Path

from orchestrator.secrets.files import files
from orchestrator.secrets.plan.evidence import Evidence

_MOST = 2**20
"""Bytes of a file; a larger one was written by a program."""


def nix_files(root: Path, evidence: Evidence) -> dict[str, str]:
    """Read the Nix files that git tracks; what cannot be read is left out.

    Args:
        root: The repository.
        evidence: Tells what is tracked.

    Returns:
        Path, relative to the repository → text.
    """
    tracked = evidence.repository.tracked if evidence.repository else frozenset()
    found = {}
    for path in tracked:
        if path.endswith(".nix") and (text := _read(str(root), path)) is not None:
            found[path] = text
    return found


def _read(root: str, path: str) -> str | None:
    try:
        content = files.read(root, path, _MOST)
    except files.FileReadError:
        return None
    return content.data.decode(errors="replace") if content is not None else None
