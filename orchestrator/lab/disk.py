"""A host's disk: its own with an end, or none; and how it becomes full."""

from __future__ import annotations

from orchestrator.lab.host import LabHost
from orchestrator.lab.shell import run

# All but $1 of the host's own disk is taken. The bulk is only promised, the rest is written: what
# the file system keeps for its own tables makes a promise fail short of the end.
_FILL = """
left=$(numfmt --from=iec "$(echo "$1" | tr kmg KMG)")
free() { df --output=avail --block-size=1 /nix | tail -n 1; }
bulk=$(($(free) - left - 16777216))
if [ $bulk -gt 0 ]; then fallocate --length $bulk /nix/.lab-full; fi
rest=$(($(free) - left))
if [ $rest -gt 0 ]; then head -c $rest /dev/zero >> /nix/.lab-full 2> /dev/null || :; fi
"""
_EMPTY = "rm -f /nix/.lab-full"

# Where it has no disk of its own, what is written from here on goes to a small file system on top.
_COVER = """
top=/run/lab-disk-full
mountpoint --quiet $top && exit
systemctl stop nix-daemon.socket nix-daemon.service
mkdir -p $top && mount -t tmpfs -o size=$1 tmpfs $top && mkdir $top/upper $top/work
mount -t overlay -o lowerdir=/nix,upperdir=$top/upper,workdir=$top/work overlay /nix
systemctl start nix-daemon.socket
"""
_UNCOVER = """
top=/run/lab-disk-full
mountpoint --quiet $top || exit 0
systemctl stop nix-daemon.socket nix-daemon.service
umount --lazy /nix
umount --lazy $top
systemctl start nix-daemon.socket
"""


def give(host: LabHost, size: str) -> None:
    """Give a new host a disk with an end, for all that it writes.

    Args:
        host: One that never booted.
        size: In the words of truncate(1), such as ``1G``.

    Raises:
        LabError: This machine cannot make it.
    """
    (host.folder / "disk").mkdir()
    run("truncate", f"--size={size}", host.disk)
    # Nothing is kept back for root: whoever fills a host's disk is root.
    run("mkfs.ext4", "-q", "-F", "-m", "0", host.disk)


def fill(host: LabHost, left: str) -> None:
    """Leave only so much of the disk.

    Args:
        host: One that is up.
        left: A number, with ``k``, ``m`` or ``g``.

    Raises:
        LabError: The host is not up.
    """
    host.inside(_FILL if host.disk.exists() else _COVER, left)


def empty(host: LabHost) -> None:
    """Undo :func:`fill`; where the host has no disk of its own, what was written meanwhile goes."""
    host.inside(_EMPTY if host.disk.exists() else _UNCOVER)
