"""Format Nix files with the formatter that a person has."""

from __future__ import annotations

import shutil
from pathlib import Path

from orchestrator.adapters import process
from orchestrator.engine.commands.check import nix_files
from orchestrator.errors import StepError, UsageError

FORMATTERS = ("nixfmt", "alejandra", "nixpkgs-fmt")
"""In the order of preference: nixfmt is the official one (RFC 166)."""


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
    paths = [Path(root, file) for file in await nix_files(Path(root))]
    before = {path: path.read_bytes() for path in paths}
    if not before:
        return ()
    done = await process.run((formatter, *map(str, paths)), deadline=600)
    changed = [path for path, text in before.items() if path.read_bytes() != text]
    if check or done.rc != 0:
        for path in changed:
            path.write_bytes(before[path])
    if done.rc != 0:
        raise StepError(f"{formatter} failed (exit {done.rc})", stderr=done.err)
    return tuple(str(path.relative_to(root)) for path in changed)
