"""Memory as Linux tells it: real processes, and control groups of both versions in a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.core.units import MemoryLimit
from orchestrator.nix import memory

MIB = 1024**2
TAKES = "import os; held = b'x' * (64 << 20); os.write(1, b'ready\\n'); os.read(0, 1)"
# The child shares all of its parent's pages until it writes to them.
FORKS = f"import os; held = b'x' * (64 << 20); os.fork(); {TAKES.replace('held', 'own')}"


@contextmanager
def running(text: str, ready: int = 1) -> Iterator[int]:
    """A process that has taken its memory; its group is ended afterwards."""
    child = subprocess.Popen(
        (sys.executable, "-c", text),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout is not None
    try:
        for _ in range(ready):
            assert child.stdout.readline() == b"ready\n"
        yield child.pid
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


def test_a_process_is_measured() -> None:
    """A process is measured by the memory that it holds, Python's own included."""
    with running(TAKES) as pid:
        assert 64 * MIB < memory.used(pid) < 128 * MIB


def test_children_count_and_shared_pages_once() -> None:
    """Three times 64 MiB: one shared, and one of each."""
    with running(FORKS, ready=2) as pid:
        assert 192 * MIB < memory.used(pid) < 250 * MIB


def test_what_has_ended_takes_nothing() -> None:
    """A worker may end between two looks."""
    child = subprocess.Popen(("true",))
    child.wait()
    assert memory.used(child.pid) == 0


def test_this_machine() -> None:
    """The kernel tells what is available; that is more than nothing, and less than all."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    machine = next(room for room in memory.free() if room.source == "this machine")
    assert 0 < machine.size < total


class Kernel:
    """A folder with what the kernel shows of control groups."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "proc/self").mkdir(parents=True)
        (root / "proc/meminfo").write_text("MemTotal: 90 kB\nMemAvailable:      80 kB\n")

    def mounted(self, kind: str, options: str, top: str = "/") -> Path:
        """Mount a hierarchy."""
        point = self.root / "cgroup"
        line = f"35 31 0:32 {top} {point} rw,relatime shared:9 - {kind} cgroup {options}\n"
        (self.root / "proc/self/mountinfo").write_text(line)
        return point

    def inside(self, text: str) -> None:
        """Say in which group this process is."""
        (self.root / "proc/self/cgroup").write_text(f"{text}\n")

    @staticmethod
    def group(path: Path, files: dict[str, object]) -> None:
        """Make a group."""
        path.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (path / name).write_text(f"{content}\n")

    def free(self) -> dict[str, int]:
        """What is measured."""
        return {room.source: room.size for room in memory.free(self.root)}


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    """A machine of 90 kB."""
    return Kernel(tmp_path)


def test_groups_of_version_2(kernel: Kernel) -> None:
    """Each group above counts, with its page cache given back; `max` is no limit."""
    point = kernel.mounted("cgroup2", "rw")
    kernel.inside("0::/ci/job")
    stat = "anon 900\ninactive_file 50\nactive_file 20"
    files = {"memory.max": 1000, "memory.current": 700, "memory.stat": stat}
    kernel.group(point / "ci", files)
    kernel.group(point / "ci/job", {**files, "memory.max": "max"})
    assert kernel.free() == {"this machine": 80 * 1024, "the control group /ci": 360}


def test_groups_of_version_1(kernel: Kernel) -> None:
    """Other names; the largest number of pages is no limit."""
    point = kernel.mounted("cgroup", "rw,memory")
    kernel.inside("5:cpu:/other\n4:memory:/ci/job\n0::/")
    stat = "inactive_file 7\ntotal_inactive_file 50\ntotal_active_file 20"
    files = {"memory.usage_in_bytes": 700, "memory.stat": stat}
    kernel.group(point, {**files, "memory.limit_in_bytes": 2**63 - 4096})
    kernel.group(point / "ci/job", {**files, "memory.limit_in_bytes": 1000})
    assert kernel.free() == {"this machine": 80 * 1024, "the control group /ci/job": 360}


def test_a_container_sees_its_own_group_as_the_root(kernel: Kernel) -> None:
    """Docker binds the group; the path in /proc begins above what is mounted."""
    point = kernel.mounted("cgroup", "rw,memory", top="/docker/abc")
    kernel.inside("4:memory:/docker/abc")
    kernel.group(point, {"memory.usage_in_bytes": 400, "memory.limit_in_bytes": 1000})
    assert kernel.free()["the control group /"] == 600


def test_a_group_over_its_limit_leaves_nothing(kernel: Kernel) -> None:
    """A limit may be lowered below what is taken."""
    point = kernel.mounted("cgroup2", "rw")
    kernel.inside("0::/ci")
    kernel.group(point / "ci", {"memory.max": 100, "memory.current": 700})
    assert kernel.free()["the control group /ci"] == 0


def test_a_machine_without_control_groups(kernel: Kernel) -> None:
    """Without control groups, free memory is what this machine itself has."""
    assert memory.free(kernel.root) == (MemoryLimit(80 * 1024, "this machine"),)


def test_a_peak_is_kept(tmp_path: Path) -> None:
    """A measured peak of memory is kept until the next one replaces it."""
    file = tmp_path / "peak"
    assert memory.read(file) == 0
    memory.keep(file, 5)
    memory.keep(file, 1234567890)
    assert memory.read(file) == 1234567890
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("damage", ["", "5 GB", "-4", "1" * 40, "\x00\x00"])
def test_a_damaged_peak_is_none(tmp_path: Path, damage: str) -> None:
    """A damaged peak counts as none, which only costs time."""
    (tmp_path / "peak").write_text(damage)
    assert memory.read(tmp_path / "peak") == 0


def test_where_nothing_can_be_kept(tmp_path: Path) -> None:
    """An evaluation does not fail for it."""
    memory.keep(tmp_path / "missing/peak", 5)
    assert not (tmp_path / "missing").exists()
