"""What memory there is, and what a process and its descendants take of it, from Linux's /proc.

Sources: proc(5); ``Documentation/admin-guide/cgroup-v2.rst`` and ``cgroup-v1/memory.rst`` in the
kernel's source. All sizes are bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.lines import split_lines
from orchestrator.core.memory import Room

_PAGE = os.sysconf("SC_PAGE_SIZE")
_NO_LIMIT = 2**60
"""A limit of version 1 above this is none: it is the largest number of pages."""


def free(root: Path = Path("/")) -> tuple[Room, ...]:
    """Measure what is free: the machine's, and of each control group that holds this process.

    Args:
        root: Where ``proc`` and ``sys`` are.
    """
    return (_of_machine(root / "proc"), *_of_groups(root / "proc"))


def used(pid: int, proc: Path = Path("/proc")) -> int:
    """Measure what a process and its descendants take now; 0 where there is none.

    One process by itself is asked for its resident pages, which costs next to nothing. Several
    are asked for their proportional share: a child that was just forked shares all of its
    parent's pages, and counts them as its own otherwise.
    """
    family = tuple(_descendants(pid, proc))
    if len(family) == 1:
        return _resident(proc / str(pid))
    return sum(_proportional(proc / str(one)) for one in family)


def _of_machine(proc: Path) -> Room:
    found = re.search(r"^MemAvailable: +(\d+) kB$", _read(proc / "meminfo"), re.MULTILINE)
    return Room(int(found[1]) * 1024 if found else 0, "this machine")


def _of_groups(proc: Path) -> Iterator[Room]:
    """Every group on the way up has a limit of its own; the tightest holds."""
    mounts = tuple(_mounts(proc))
    for line in split_lines(_read(proc / "self/cgroup")):
        _, controllers, path = line.split(":", 2)
        version = 2 if not controllers else 1
        if version == 1 and "memory" not in controllers.split(","):
            continue
        for mount in (mount for mount in mounts if mount.version == version):
            yield from mount.free_along(path)


@dataclass(frozen=True, slots=True)
class _Mount:
    """A hierarchy of control groups.

    Attributes:
        top: The group that is mounted: not the root where this process is in a container.
    """

    version: int
    top: str
    point: Path

    def free_along(self, path: str) -> Iterator[Room]:
        """Yield what each group from ``path`` up leaves free, where it has a limit."""
        below = path.removeprefix(self.top.rstrip("/")).strip("/")
        group = self.point / below
        while True:
            if (size := self._free_of(group)) is not None:
                name = "/" + str(group.relative_to(self.point)).removeprefix(".")
                yield Room(size, f"the control group {name}")
            if group == self.point:
                return
            group = group.parent

    def _free_of(self, group: Path) -> int | None:
        names = ("memory.max", "memory.current", "") if self.version == 2 else _NAMES_1
        limit, now = _number(group / names[0]), _number(group / names[1])
        if limit is None or now is None or limit >= _NO_LIMIT:
            return None
        stat = dict(line.split() for line in split_lines(_read(group / "memory.stat")))
        inactive, active = (int(stat.get(f"{names[2]}{kind}_file", 0)) for kind in _LISTS)
        # What the page cache holds is given back; half of what is in use counts as needed.
        return max(0, limit - now + inactive + active // 2)


_NAMES_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
_LISTS = ("inactive", "active")


def _mounts(proc: Path) -> Iterator[_Mount]:
    for line in split_lines(_read(proc / "self/mountinfo")):
        mount, _, kind = line.partition(" - ")
        words, (kind, _, options) = mount.split(), kind.split()
        if kind == "cgroup2":
            yield _Mount(2, words[3], Path(words[4]))
        elif kind == "cgroup" and "memory" in options.split(","):
            yield _Mount(1, words[3], Path(words[4]))


def _descendants(pid: int, proc: Path) -> Iterator[int]:
    if not (proc / str(pid)).exists():
        return
    yield pid
    for children in proc.glob(f"{pid}/task/*/children"):
        for child in _read(children).split():
            yield from _descendants(int(child), proc)


def _resident(process: Path) -> int:
    words = _read(process / "statm").split()
    return int(words[1]) * _PAGE if words else 0


def _proportional(process: Path) -> int:
    found = re.search(r"^Pss: +(\d+) kB$", _read(process / "smaps_rollup"), re.MULTILINE)
    # A process of another user, such as a build, does not let itself be read so closely.
    return int(found[1]) * 1024 if found else _resident(process)


def _number(file: Path) -> int | None:
    text = _read(file).strip()
    return int(text) if text.isdecimal() else None


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # no such control group or process any more
        return ""
