"""How much memory a host may still take, by the memory controller of cgroup v1.

See ``Documentation/admin-guide/cgroup-v1/memory.rst`` in the kernel's source. What a process took
before it came to a group stays where it was counted: a limit is what is left from now on.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from orchestrator.lab.cgroup import Cgroup
from orchestrator.lab.errors import LabError
from orchestrator.lab.host import LabHost

_ROOT = Path("/sys/fs/cgroup/memory")
_BEFORE_INIT = 500
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

# No kernel kills its own PID 1: everything else on the host is to be killed before the host's.
_KILL_OTHERS_FIRST = """
mkdir -p /run/systemd/system.conf.d
printf '[Manager]\\nDefaultOOMScoreAdjust=%s\\n' "$1" > /run/systemd/system.conf.d/lab-memory.conf
systemctl daemon-reload
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
    group = _group(host)
    group.mkdir(parents=True, exist_ok=True)
    (group / "memory.limit_in_bytes").write_text(str(_bytes(left)))
    _move(host, group)


def lift(host: LabHost) -> None:
    """Undo :func:`limit`."""
    group = _group(host)
    if not group.exists():
        return
    (group / "memory.limit_in_bytes").write_text("-1")
    _move(host, _ROOT)
    if host.leader is not None:
        host.inside(_KILL_THE_LARGEST)
        _score_others(host, 0)
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


def _score_others(host: LabHost, adjustment: int) -> None:
    """Set how gladly the kernel kills all but PID 1; see proc_pid_oom_score_adj(5)."""
    for pid in host.cgroup.all_pids() - {host.leader}:
        with contextlib.suppress(OSError):  # it ended meanwhile
            Path(f"/proc/{pid}/oom_score_adj").write_text(str(adjustment))


def _move(host: LabHost, group: Path) -> None:
    """Move every process of the host; again, until no new one was started meanwhile."""
    moved: set[int] = set()
    while new := host.cgroup.all_pids() - moved:
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
