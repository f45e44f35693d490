"""Byte code: compiled once, and kept where the installation has none.

Without it (``pip install --no-compile``, ``PYTHONDONTWRITEBYTECODE``, a folder that is read-only
to this user) Python compiles every module at every start, which doubles what a command costs.
"""

from __future__ import annotations

import os
import stat
import sys


def keep(own: str | None) -> None:
    """Have Python keep byte code in the user's cache, where there is none beside the modules.

    It is code, so it is taken from a folder only that nobody but this user and root could have
    filled: https://docs.python.org/3/library/sys.html#sys.pycache_prefix

    And it is not kept of modules whose time says nothing, which another version's may have, too.

    Args:
        own: Where the byte code of one of our modules would be: ``__spec__.cached``.
    """
    if sys.pycache_prefix is not None or own is None or os.path.exists(own):  # noqa: PTH110
        return
    if (folder := _folder()) is not None:
        sys.pycache_prefix, sys.dont_write_bytecode = folder, False


_DATED = 365 * 86400 * 12
"""A file of before 1982 was given that time by who packed it: the Nix store, a container's layers.

Python tells byte code of another version by time and size alone, and the next version's file may
have the very same.
"""


def _folder() -> str | None:
    """A folder of this user's own, made where it is missing; ``None`` where there is none."""
    said = os.environ.get("XDG_CACHE_HOME", "")
    home = os.environ.get("HOME", "")
    cache = said if said.startswith("/") else f"{home}/.cache" if home.startswith("/") else None
    if cache is None:
        return None
    folder = os.path.join(os.path.realpath(cache), "orchestrator", "bytecode")  # noqa: PTH118
    try:
        if os.stat(__file__).st_mtime < _DATED:  # noqa: PTH116
            return None
        if not os.path.lexists(folder):
            _require_trusted(_nearest(folder))
            os.makedirs(folder, mode=0o700)  # noqa: PTH103 (pathlib is slow to import)
        found = os.lstat(folder)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return None
        if found.st_mode & 0o077:
            return None
        _require_trusted(os.path.dirname(folder))  # noqa: PTH120
    except OSError:
        return None
    return folder


def _nearest(path: str) -> str:
    """The nearest folder above that is there."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)  # noqa: PTH120
    return path


def _require_trusted(path: str) -> None:
    """Require that others can put nothing in the place of a folder, nor of one above it.

    Raises:
        PermissionError: One is of another user's, or others may write into it; or it is a link.
    """
    while True:
        found = os.lstat(path)
        shared = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (0, os.geteuid()) or shared:
            raise PermissionError(path)
        if path == "/":
            return
        path = os.path.dirname(path)  # noqa: PTH120
