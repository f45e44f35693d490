"""A tree of a Debian release, fetched from a mirror of Debian.

The release is named, and the packages are; their versions are what the release has that day, which
is what a mirror serves. A stable release gets corrections only. Which they were is written down
beside the tree.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestrator.lab.errors import LabError
from orchestrator.lab.shell import run

SUITE = "trixie"
"""The Debian release of the hosts, for its Nix ≥ 2.18."""

MIRROR = "ORCHESTRATOR_DEBIAN_MIRROR"
"""Names another mirror: its URL, or a whole line as in sources.list."""

ATTEMPTS = 3

_DEADLINE = 900
_PAUSE = 5.0
_LEAVE_OUT = ("doc", "man", "locale", "info")
_GONE = re.compile(
    r"^E: (?:Unable to locate package|Package) '?([a-z0-9][a-z0-9.+-]*)", re.MULTILINE
)
_WORDS = re.compile(r"^E: (.*)$", re.MULTILINE)


def make_tree(
    packages: Sequence[str],
    rootfs: Path,
    on_progress: Callable[[str], None],
    *,
    pause: float = _PAUSE,
) -> None:
    """Make a tree with these packages, trying again where a mirror fails.

    Args:
        packages: Debian packages, beside those that every system has.
        rootfs: The folder to make.
        on_progress: Is told of another attempt.
        pause: Seconds before it.

    Raises:
        LabError: A package is gone from the release, or the mirror fails for good.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            run(*_mmdebstrap(packages, rootfs), deadline=_DEADLINE, what="mmdebstrap")
        except LabError as error:
            if gone := sorted({*_GONE.findall(str(error))} & {*packages}):
                raise _gone(gone) from error
            if attempt == ATTEMPTS:
                raise _failed(error) from error
            on_progress(f"{_last_words(error)}; trying again")
            shutil.rmtree(rootfs, ignore_errors=True)
            time.sleep(pause)
        else:
            return


def installed(rootfs: Path) -> str:
    """Return what is installed in a tree, a package and its version a line, sorted."""
    listing = run("chroot", rootfs, "dpkg-query", "--show")
    return "".join(f"{line}\n" for line in sorted(listing.split("\n")))


def _mmdebstrap(packages: Sequence[str], rootfs: Path) -> list[str]:
    # In its own namespaces: however it ends, no mount and no child of it is left.
    return [
        *("unshare", "--mount", "--propagation", "private", "--mount-proc"),
        *("--pid", "--fork", "--kill-child", "--"),
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--dpkgopt=force-unsafe-io"),
        '--aptopt=Acquire::Retries "2"',
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEAVE_OUT),
        f"--include={','.join(packages)}",
        *(SUITE, str(rootfs)),
        *filter(None, (os.environ.get(MIRROR),)),
    ]


def _gone(packages: Sequence[str]) -> LabError:
    one = len(packages) == 1
    return LabError(
        f"Debian {SUITE} has no package{'' if one else 's'} {', '.join(packages)}, which the lab's "
        f"hosts need: renamed or removed there, or this mirror has a part of Debian only",
        hint=f"{MIRROR}=URL names another mirror; a newer version of this tool may know a new name "
        "(orchestrator/lab/base/recipe/packages)",
    )


def _failed(error: LabError) -> LabError:
    return LabError(
        f"making the base image failed, {ATTEMPTS} times: {error}",
        hint=f"{MIRROR}=URL names another mirror of Debian that has {SUITE}; {error.hint}",
    )


def _last_words(error: LabError) -> str:
    found = _WORDS.findall(str(error))
    return found[-1] if found else str(error).split("\n", 1)[0]
