"""Control groups: how a lab knows, freezes and ends exactly the processes that it started.

See ``Documentation/admin-guide/cgroup-v2.rst`` in the kernel's source for the files used here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.lab.errors import LabError, LabRequirementError

_CANDIDATES = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


def cgroup2_root() -> Path:
    """Return where this machine mounts cgroup v2, alone or beside v1.

    Raises:
        LabRequirementError: It is mounted nowhere.
    """
    for path in _CANDIDATES:
        if (path / "cgroup.controllers").exists():
            return path
    raise LabRequirementError(
        "a lab needs cgroup v2, and it is mounted neither at /sys/fs/cgroup nor at "
        "/sys/fs/cgroup/unified",
        hint="mount -t cgroup2 none /sys/fs/cgroup/unified",
    )


def lab_group(root: Path, lab_id: str) -> Cgroup:
    """Return the group of a lab, below a mount point of cgroup v2."""
    return Cgroup(root / f"orchestrator-lab-{lab_id}")


def possible_groups(lab_id: str) -> tuple[Cgroup, ...]:
    """Return where the group of a lab may be; every user may look there."""
    return tuple(lab_group(root, lab_id) for root in _CANDIDATES)


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One control group of version 2, which need not exist."""

    path: Path

    def __truediv__(self, name: str) -> Cgroup:
        return Cgroup(self.path / name)

    def create(self) -> Cgroup:
        """Make the group and its parents."""
        self.path.mkdir(parents=True, exist_ok=True)
        return self

    @property
    def populated(self) -> bool:
        """Whether a process runs in the group or below; zombies do not count."""
        return "populated 1" in self._read("cgroup.events")

    @property
    def frozen(self) -> bool:
        """Whether the group's processes were frozen."""
        return self._read("cgroup.freeze").strip() == "1"

    def pids(self) -> list[int]:
        """Return the processes of this group itself, in no order."""
        return [int(line) for line in self._read("cgroup.procs").split()]

    def all_pids(self) -> set[int]:
        """Return the processes of this group and of those below."""
        return {pid for group in self._below() for pid in Cgroup(group).pids()}

    def freeze(self, frozen: bool) -> None:
        """Freeze or thaw every process of the group and below."""
        (self.path / "cgroup.freeze").write_text("1" if frozen else "0")

    def kill(self, deadline: float = 10) -> None:
        """Kill every process of the group and below, and wait until none is left.

        Raises:
            LabError: Processes are still there after ``deadline`` seconds.
        """
        until = time.monotonic() + deadline
        while self.populated:
            self._kill_once()
            if time.monotonic() > until:
                raise LabError(f"processes in {self.path} do not end")
            time.sleep(0.01)

    def remove(self) -> None:
        """Kill what is in the group and remove it with all groups below."""
        self.kill()
        for group in self._below():
            with contextlib.suppress(FileNotFoundError):
                group.rmdir()

    def _kill_once(self) -> None:
        try:
            (self.path / "cgroup.kill").write_text("1")
        except (FileNotFoundError, PermissionError):  # before Linux 5.14
            for group in self._below():
                for pid in Cgroup(group).pids():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    def _below(self) -> Iterator[Path]:
        """Yield this group and all groups below, the deepest first."""
        for folder, _, _ in os.walk(self.path, topdown=False):
            yield Path(folder)

    def _read(self, name: str) -> str:
        try:
            return (self.path / name).read_text()
        except OSError:  # ENOENT, or ENODEV for a group that is being removed
            return ""
