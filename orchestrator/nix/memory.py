"""Memory that is free and taken, and whether one more evaluation may start."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core import files
from orchestrator.core.errors import UsageError
from orchestrator.core.host import Limits
from orchestrator.core.units import MemoryLimit, parse_size, split_lines

_PAGE = os.sysconf("SC_PAGE_SIZE")
_NO_LIMIT = 2**60
"""A limit of version 1 above this is none: it is the largest number of pages."""


def free(root: Path = Path("/")) -> tuple[MemoryLimit, ...]:
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


def _of_machine(proc: Path) -> MemoryLimit:
    found = re.search(r"^MemAvailable: +(\d+) kB$", _read(proc / "meminfo"), re.MULTILINE)
    return MemoryLimit(int(found[1]) * 1024 if found else 0, "this machine")


def _of_groups(proc: Path) -> Iterator[MemoryLimit]:
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

    def free_along(self, path: str) -> Iterator[MemoryLimit]:
        """Yield what each group from ``path`` up leaves free, where it has a limit."""
        below = path.removeprefix(self.top.rstrip("/")).strip("/")
        group = self.point / below
        while True:
            if (size := self._free_of(group)) is not None:
                name = "/" + str(group.relative_to(self.point)).removeprefix(".")
                yield MemoryLimit(size, f"the control group {name}")
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


MIB = 1024**2
GIB = 1024**3

ASSUMED = 1280 * MIB
"""What an evaluation is expected to need while none has been seen to its end."""

LEAST = 512 * MIB
"""What one is expected to need at least: an answer from Nix's cache says little of the next."""

_RESERVE = 256 * MIB
SMALLEST_HEAP = 64 * MIB
"""Nix's heap from the start, where memory is short."""

_LARGEST_HEAP = 2 * GIB


@dataclass(frozen=True, slots=True)
class Worker:
    """An evaluation under way.

    Attributes:
        used: What it takes now.
        alone: Whether nothing may run beside it.
        stopped: Whether it was told to stop, and still holds its memory.
    """

    used: int = 0
    alone: bool = False
    stopped: bool = False


def budget(rooms: Sequence[MemoryLimit], used: int, limit: MemoryLimit | None) -> MemoryLimit:
    """Say what evaluations may take: the tightest of what is measured and what a person allows.

    Args:
        rooms: What is free now, each source for itself.
        used: What the evaluations take now; it is in none of the rooms.
        limit: What a person set.
    """
    tightest = min(rooms, key=lambda room: room.size)
    whole = max(0, tightest.size) + used
    measured = MemoryLimit(whole - min(_RESERVE, whole // 8), tightest.source)
    return min(measured, limit, key=lambda one: one.size) if limit else measured


def expected_peak(known: int, running: Sequence[Worker]) -> int:
    """Say what one evaluation is expected to need at its highest.

    Little is added to the highest peak: not all peaks are as high, nor at the same moment, and
    one that passes the budget is stopped.

    Args:
        known: The highest peak of one that came to its end; 0 where none has.
        running: They show at least what they take now.
    """
    learned = known + known // 20 if known else ASSUMED
    return max((LEAST, learned, *(worker.used for worker in running)))


def may_start(running: Sequence[Worker], allowed: int, expected: int, *, alone: bool) -> bool:
    """Whether one more evaluation may start.

    One by itself always may: what does not fit alone is found out by trying.
    """
    if not running:
        return True
    if alone or any(worker.alone for worker in running):
        return False
    return sum(max(worker.used, expected) for worker in running) + expected <= allowed


def to_stop(running: Sequence[Worker], allowed: int) -> int | None:
    """Choose the evaluation to stop where all take more than they may; never the last one.

    Args:
        running: The oldest first.
        allowed: What they may take together.

    Returns:
        Which: the youngest. ``None`` while one that was told to stop still holds its memory.
    """
    if len(running) < 2 or any(worker.stopped for worker in running):
        return None
    return len(running) - 1 if sum(worker.used for worker in running) > allowed else None


def initial_heap(allowed: int, at_once: int) -> int:
    """Say how large Nix's heap should be from the start.

    A heap that is large at once saves collections while it grows. What it takes must not keep
    others out, so it is a quarter of a worker's share, and it is taken only as far as it is used.

    Args:
        allowed: What all may take together.
        at_once: How many may run.
    """
    return max(SMALLEST_HEAP, min(_LARGEST_HEAP, allowed // at_once // 4))


def read(file: Path) -> int:
    """Read the peak in bytes; 0 where none is kept, or what is kept is damaged."""
    try:
        text = file.read_text().strip()
    except (OSError, ValueError):
        return 0
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 16 else 0


def keep(file: Path, peak: int) -> None:
    """Keep a peak, as a whole or not at all; a full disk must not fail an evaluation."""
    with contextlib.suppress(OSError):
        files.replace(file, f"{peak}\n".encode())


ENVIRONMENT = "ORCHESTRATOR_EVALUATION_MEMORY"


def limit_of(limits: Limits) -> MemoryLimit | None:
    """What a person allows: the environment goes before the inventory.

    Raises:
        UsageError: The environment names what is no size.
    """
    if text := os.environ.get(ENVIRONMENT):
        try:
            return MemoryLimit(parse_size(text), ENVIRONMENT)
        except ValueError as error:
            raise UsageError(f"{ENVIRONMENT}: {error}") from None
    if limits.evaluation_memory is not None:
        return MemoryLimit(limits.evaluation_memory, "limits.evaluation_memory")
    return None
