"""Mounts that only this process and its children see: unshare(2) and mount(2) through ctypes."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import time
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_NOSUID = 0x2
_MS_NODEV = 0x4
_MS_REC = 0x4000
_MS_PRIVATE = 1 << 18
_MNT_DETACH = 2
_ATTEMPTS = 20


def private_mounts() -> None:
    """Give this process mounts of its own, for the rest of its life.

    Who is not root gets a user namespace with it, in which they are who they are.

    Raises:
        OSError: The kernel does not allow it.
    """
    if os.geteuid() == 0:
        _call("unshare", _CLONE_NEWNS)
    else:
        _private_user()
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)


def mount_memory(folder: Path) -> bool:
    """Mount an empty file system over a folder: in memory, ours alone.

    Returns:
        Whether it is certain that it is never swapped (``noswap``, tmpfs(5), Linux 6.4).

    Raises:
        OSError: The kernel does not allow it.
    """
    try:
        _mount(folder, "mode=0700,size=64m,noswap")
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise
        _mount(folder, "mode=0700,size=64m")
        return False
    return True


def unmount(folder: Path) -> None:
    """Take a mount away; what is in it goes as soon as nobody has it open.

    Raises:
        OSError: It is none.
    """
    _call("umount2", os.fsencode(folder), _MNT_DETACH)


def _mount(folder: Path, options: str) -> None:
    flags = _MS_NOSUID | _MS_NODEV
    _call("mount", b"tmpfs", os.fsencode(folder), b"tmpfs", flags, options.encode())


def _private_user() -> None:
    uid, gid = os.geteuid(), os.getegid()
    for attempt in range(_ATTEMPTS):
        try:
            _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNS)
            break
        except OSError as error:
            # A thread that waited for a child may be about to end: EINVAL while there are two.
            if error.errno != errno.EINVAL or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.01)
    # user_namespaces(7): an id may be mapped to itself, a group only after this word.
    with contextlib.suppress(FileNotFoundError):
        Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def _call(name: str, *arguments: object) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
