"""Format Nix files with the formatter that a person has."""

from __future__ import annotations

import shutil
from pathlib import Path

from orchestrator.core import beneath, process
from orchestrator.core.errors import StepError, UsageError
from orchestrator.fleet.check import nix_files

FORMATTERS = ("nixfmt", "alejandra", "nixpkgs-fmt")
"""In the order of preference: nixfmt is the official one (RFC 166)."""

_MOST = 64 * 2**20
"""Bytes of a Nix file."""


async def format_tracked(root: str, *, check: bool) -> tuple[str, ...]:
    """Format the fleet's Nix files.

    Args:
        root: The fleet's root.
        check: Put back what the formatter changed.

    Returns:
        The files that changed, or would.

    Raises:
        UsageError: No formatter is on the PATH.
        StepError: The formatter failed; the files are as they were.
    """
    formatter = next((name for name in FORMATTERS if shutil.which(name)), None)
    if formatter is None:
        raise UsageError(
            f"no formatter is on the PATH: {', '.join(FORMATTERS)}",
            hint="nix shell nixpkgs#nixfmt-rfc-style",
        )
    folder = Path(root)
    # A formatter follows links, and writes where they lead.
    files = [file for file in await nix_files(folder) if beneath.is_regular(folder, file)]
    before = {file: beneath.read(folder, file, _MOST) for file in files}
    if not before:
        return ()
    done = await process.run((formatter, *(str(folder / file) for file in files)), deadline=600)
    changed = [file for file, text in before.items() if _now(folder, file) != text]
    if check or done.rc != 0:
        for file in changed:
            beneath.replace(folder, file, before[file])
    if done.rc != 0:
        raise StepError(f"{formatter} failed (exit {done.rc})", stderr=done.err)
    return tuple(changed)


def _now(folder: Path, file: str) -> bytes | None:
    try:
        return beneath.read(folder, file, _MOST)
    except OSError:
        return None
