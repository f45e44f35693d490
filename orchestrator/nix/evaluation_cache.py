"""Caches for Nix of our own: what others' evaluations left behind counts for nothing.

Nix keeps what it copied of a flake and what came of it under a key that it takes down apart from
the files. Where somebody edits meanwhile, the key is of other files than what it keeps; and it
believes that ever after, also where its evaluation cache is switched off.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

_LINKS = ("git",)
"""What else is below ``XDG_CACHE_HOME`` that Nix's children want: git's credential cache."""


def own_cache() -> Mapping[str, str]:
    """The variables for a cache that only evaluations of private copies write.

    What was downloaded is the person's: no file of it is ever changed.
    """
    folder = _base() / "orchestrator/nix"
    cache = folder / "nix"
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    _link(_downloads(_persons_cache()), cache)
    _link((_base() / name for name in _LINKS if (_base() / name).exists()), folder)
    return _variables(folder)


def fresh_cache(folder: Path) -> Mapping[str, str]:
    """Make a copy of that cache for once, and give the variables that make Nix use it.

    What was fetched is linked, which inputs that was is copied, evaluations are left out.
    """
    own, copy = Path(own_cache()["NIX_CACHE_HOME"]), folder / "nix"
    copy.mkdir(parents=True)
    _link(_downloads(own), copy)
    for item in own.glob("fetcher-cache*.sqlite"):
        # Without it, inputs are looked up again: slower, and no other.
        with contextlib.suppress(sqlite3.Error):
            _copy_database(item, copy / item.name)
    return _variables(folder)


def _variables(folder: Path) -> Mapping[str, str]:
    # The second is known since 2.25, and goes first there.
    return {"XDG_CACHE_HOME": str(folder), "NIX_CACHE_HOME": str(folder / "nix")}


def _base() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()).absolute()


def _persons_cache() -> Path:
    named = os.environ.get("NIX_CACHE_HOME")
    return Path(named).absolute() if named else _base() / "nix"


def _downloads(cache: Path) -> Iterator[Path]:
    """Folders of git objects, which are what their names say."""
    for item in cache.iterdir() if cache.is_dir() else ():
        if item.is_dir() and not item.name.startswith("eval-cache"):
            yield item


def _link(items: Iterator[Path], into: Path) -> None:
    for link in into.iterdir():
        if link.is_symlink() and not link.exists():
            link.unlink(missing_ok=True)
    for item in items:
        with contextlib.suppress(FileExistsError):
            (into / item.name).symlink_to(item)


def _copy_database(source: Path, target: Path) -> None:
    """Copy a database that others may be writing."""
    with (
        contextlib.closing(
            sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
        ) as old,
        contextlib.closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)
