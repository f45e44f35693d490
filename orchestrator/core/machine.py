"""This machine and its user: file descriptors, temporary files, a home, a name.

Any of them may be few, odd or missing, as in a container.
"""

from __future__ import annotations

import errno
import getpass
import os
import re
import resource
import tempfile
from pathlib import Path

from orchestrator.core.errors import StepError, UsageError

FILES = 65_536
"""File descriptors: a connection, a log and a socket for each of 20,000 hosts."""


def allow_files() -> int:
    """Use the file descriptors that this process may have, each connection is one; say how many.

    The usual soft limit, 1,024, is there for programs that use select(2): setrlimit(2).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return FILES if soft == resource.RLIM_INFINITY else soft


def few_files(error: OSError) -> str | None:
    """Say what to do where there were no more file descriptors; ``None``: it was something else."""
    if error.errno not in (errno.EMFILE, errno.ENFILE):
        return None
    return (
        f"this process may have {allow_files()} files open: raise that limit (ulimit -n, or "
        "LimitNOFILE of a service), or have fewer hosts at the same time (limits.connections)"
    )


_PLAIN = re.compile(r"/[A-Za-z0-9/._+-]*")
_USUAL = ("/tmp", "/var/tmp")  # noqa: S108 (a folder of one's own is made there)
_SHORT = 60
"""Bytes of a folder; a socket in it may have a path of 107 (unix(7))."""


def temporary() -> str:
    """The folder for temporary files whose path Unix sockets and URLs of Nix's take as it is.

    Where ``TMPDIR`` is long or odd, that is another one: in a URL ``%``, ``?`` and spaces mean
    something else to each version of Nix.

    Raises:
        StepError: There is none that can be written.
    """
    tried = dict.fromkeys((_by_system(), *_USUAL, os.environ.get("XDG_RUNTIME_DIR")))
    for place in filter(None, tried):
        fits = _PLAIN.fullmatch(place) and len(place) <= _SHORT
        if fits and Path(place).is_dir() and os.access(place, os.W_OK | os.X_OK):
            return place
    raise StepError(
        "no folder for temporary files has a path that can be used: "
        + ", ".join(filter(None, tried)),
        hint=f"TMPDIR: a folder that you may write, of at most {_SHORT} letters, digits and . _ -",
    )


def _by_system() -> str | None:
    try:
        return tempfile.gettempdir()
    except OSError:
        return None


def home() -> Path:
    """This user's folder: ``HOME``, else what the password database says.

    Raises:
        UsageError: Neither says one, as in a container whose user has no line in ``/etc/passwd``.
    """
    try:
        return Path.home()
    except RuntimeError:
        raise UsageError(
            f"this user (uid {os.getuid()}) has no home: HOME is not set, and /etc/passwd has no "
            "line for it",
            hint="export HOME=FOLDER; what is kept between two runs is there (history, caches)",
        ) from None


def user_name() -> str:
    """What this user is called; ``uid1000`` where the password database has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid{os.getuid()}"
