"""Become a deployer who sits on a lab host: what a deployment touches is the host's from here on.

usage, as root: sit_on.py PID-OF-THE-HOST'S-INIT COMMAND…

The program that is run stays this machine's; it is one of the host's processes, the host's places
are mounted over this machine's in a mount namespace of its own, and there is no network.
open_tree(2) takes a mount along from one mount namespace to another, as mount(2) refuses to do.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

RECORDS = Path("/var/lib/orchestrator")
PLACES = ("/proc", "/nix", "/boot", "/run", "/etc", str(RECORDS))
OPEN_TREE, MOVE_MOUNT = 428, 429
AT_FDCWD, OPEN_TREE_CLONE, AT_RECURSIVE, MOVE_MOUNT_F_EMPTY_PATH = -100, 1, 0x8000, 4
CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x20000000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> int:
    """Raise where a system call failed."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def main() -> None:
    """Take the host's mounts along, and run the command."""
    pid, command = sys.argv[1], sys.argv[2:]
    host = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    processes = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY)
    checked(libc.unshare(CLONE_NEWNS | CLONE_NEWNET))
    checked(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    RECORDS.mkdir(parents=True, exist_ok=True)
    home = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    checked(libc.setns(host, CLONE_NEWNS))
    RECORDS.mkdir(parents=True, exist_ok=True)
    flags = OPEN_TREE_CLONE | AT_RECURSIVE
    trees = {
        place: checked(libc.syscall(OPEN_TREE, AT_FDCWD, place.encode(), flags)) for place in PLACES
    }
    checked(libc.setns(home, CLONE_NEWNS))
    for place, tree in trees.items():
        checked(
            libc.syscall(MOVE_MOUNT, tree, b"", AT_FDCWD, place.encode(), MOVE_MOUNT_F_EMPTY_PATH)
        )
    # systemd wants to see who asks; a child is in the namespace, we are not.
    checked(libc.setns(processes, CLONE_NEWPID))
    child = os.fork()
    if child == 0:
        os.chdir(os.environ["FLEET"])
        os.execvp(command[0], command)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


main()
