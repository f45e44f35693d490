"""A cache for Nix that knows the inputs of a flake, and nothing of what is about to be traced."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path


def fresh_cache(folder: Path) -> Mapping[str, str]:
    """Make a copy of the person's cache, and give the variables that make Nix use it.

    What was fetched is linked, which inputs that was is copied, evaluations are left out.
    """
    own, copy = _own_cache(), folder / "nix"
    copy.mkdir(parents=True)
    for item in own.iterdir() if own.is_dir() else ():
        if item.name.startswith("eval-cache"):
            continue
        if not item.name.startswith("fetcher-cache"):
            (copy / item.name).symlink_to(item)
        elif item.suffix == ".sqlite":
            # Without it, inputs are looked up again: slower, and no other.
            with contextlib.suppress(sqlite3.Error):
                _copy_database(item, copy / item.name)
    return {"XDG_CACHE_HOME": str(folder), "NIX_CACHE_HOME": str(copy)}


def _own_cache() -> Path:
    if named := os.environ.get("NIX_CACHE_HOME"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(base, "nix")


def _copy_database(source: Path, target: Path) -> None:
    """Copy a database that others may be writing."""
    with (
        contextlib.closing(
            sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
        ) as old,
        contextlib.closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)
