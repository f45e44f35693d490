"""A host's disk and memory, made small or full."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from orchestrator.lab.cgroup import Cgroup, run, start
from orchestrator.lab.host import LabHost
from orchestrator.lab.places import LabError

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


_ROOT = Path("/sys/fs/cgroup/memory")
_BEFORE_INIT = 1000
_HOARD = 24 << 20
"""Bytes that one process of ours takes within the limit.

How gladly a process is killed counts in shares of the limit (proc_pid_oom_score_adj(5)): only where
that is larger than PID 1 do all others go before it.
"""
_HOARDS_WITHIN = 5.0
# $1 $2 control groups  $3 bytes, which tail(1) keeps until its input ends, which it does not.
_HOLD = """
for group in "$1" "$2"; do echo $$ > "$group/cgroup.procs"; done
{ head -c "$3" /dev/zero; exec sleep infinity; } | tail -c "$3"
"""
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

# No kernel kills its own PID 1: everything else on the host is to be killed before the host's.
_KILL_OTHERS_FIRST = """
mkdir -p /run/systemd/system.conf.d
printf '[Manager]\\nDefaultOOMScoreAdjust=%s\\n' "$1" > /run/systemd/system.conf.d/lab-memory.conf
systemctl daemon-reload
"""
# It gives those who log in the score that it was started with. Those who are in stay in.
_RENEW_SSHD = """
unit=ssh.service # Debian's name
systemctl cat $unit > /dev/null 2>&1 || unit=sshd.service
systemctl reset-failed $unit # or it counts as started too often
systemctl try-restart $unit
"""
_KILL_THE_LARGEST = """
rm -f /run/systemd/system.conf.d/lab-memory.conf
systemctl daemon-reload
"""


def limit(host: LabHost, left: str) -> None:
    """Leave only so much memory; the kernel then kills what takes more.

    Args:
        host: One that is up.
        left: A number, with ``k``, ``m`` or ``g``.

    Raises:
        LabError: The host is not up, or this machine has not the controller.
    """
    if not (_ROOT / "memory.limit_in_bytes").exists():
        raise LabError(
            "the memory of a host cannot be limited: this machine has not the memory controller "
            "of cgroup v1",
            hint="mount -t cgroup -o memory none /sys/fs/cgroup/memory",
        )
    host.inside(_KILL_OTHERS_FIRST, str(_BEFORE_INIT))
    _score_others(host, _BEFORE_INIT)
    host.inside(_RENEW_SSHD)
    group = _group(host)
    group.mkdir(parents=True, exist_ok=True)
    (group / "memory.limit_in_bytes").write_text(str(_bytes(left) + _HOARD))
    _move(host, group)
    _hoard(host, group)


def lift(host: LabHost) -> None:
    """Undo :func:`limit`."""
    group = _group(host)
    if not group.exists():
        return
    (host.cgroup / "hoard").remove()
    (group / "memory.limit_in_bytes").write_text("-1")
    _move(host, _ROOT)
    if host.leader is not None:
        host.inside(_KILL_THE_LARGEST)
        _score_others(host, 0)
        host.inside(_RENEW_SSHD)
    with contextlib.suppress(OSError):  # one of its processes is a moment from its end
        group.rmdir()


def clear(lab: Cgroup) -> None:
    """Remove what limits have left of a lab, once nothing runs in it."""
    top = _ROOT / lab.path.name
    for group in (*top.glob("*/"), top):
        with contextlib.suppress(OSError):  # it is not there
            group.rmdir()


def _group(host: LabHost) -> Path:
    lab = host.cgroup.path.parent.parent
    return _ROOT / lab.name / host.name


def _hoard(host: LabHost, group: Path) -> None:
    """Take the part of the limit that is ours, until the limit is lifted or the power is cut."""
    hoard = (host.cgroup / "hoard").create()
    start("sh", "-c", _HOLD, "sh", hoard.path, group, str(_HOARD), log=host.console)
    until = time.monotonic() + _HOARDS_WITHIN
    while int((group / "memory.usage_in_bytes").read_text()) < _HOARD:
        if time.monotonic() > until:
            raise LabError(f"the memory of '{host.name}' is not taken")
        time.sleep(0.01)


def _processes(host: LabHost) -> set[int]:
    """Those that the host itself sees; what runs the host is no part of it."""
    return (host.cgroup / "machine" / "payload").all_pids()


def _score_others(host: LabHost, adjustment: int) -> None:
    """Set how gladly the kernel kills all but PID 1; see proc_pid_oom_score_adj(5)."""
    for pid in _processes(host) - {host.leader}:
        with contextlib.suppress(OSError):  # it ended meanwhile
            Path(f"/proc/{pid}/oom_score_adj").write_text(str(adjustment))


def _move(host: LabHost, group: Path) -> None:
    """Move every process of the host; again, until no new one was started meanwhile."""
    moved: set[int] = set()
    while new := _processes(host) - moved:
        for pid in new:
            with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
                (group / "cgroup.procs").write_text(str(pid))
        moved |= new


def _bytes(text: str) -> int:
    number, unit = text[:-1], text[-1:].lower()
    try:
        return int(number) * _UNITS[unit] if unit in _UNITS else int(text)
    except ValueError:
        raise LabError(f"'{text}' is no size", hint="such as 16m") from None
