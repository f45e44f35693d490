"""The lab's processes: in namespaces, in a cgroup of their own."""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.units import split_lines
from orchestrator.lab.places import LabError, LabRequirementError

_TAIL = 20


def run(
    *argv: str | Path,
    deadline: float = 60,
    env: Mapping[str, str] | None = None,
    what: str | None = None,
) -> str:
    """Run a command and return its standard output, surrounding white space removed.

    The command does not outlive us, even when we are killed.

    Args:
        argv: The command.
        deadline: Seconds after which it is killed.
        env: Set on top of this process's environment.
        what: What it does, for errors; without it the command's name.

    Raises:
        LabError: It could not be started, failed, or took too long.
    """
    command = ["setpriv", "--pdeathsig", "KILL", "--", *map(str, argv)]
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=deadline,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"{what or argv[0]} did not end within {deadline:.0f} s") from None
    except OSError as error:
        raise LabError(f"{command[0]} could not be started: {error.strerror}") from error
    if done.returncode != 0:
        tail = "\n".join(split_lines(done.stderr.strip())[-_TAIL:])
        raise LabError(
            f"{what or argv[0]} failed (exit {done.returncode})\n{tail}",
            hint=f"to repeat it: {shlex.join(map(str, argv))}",
        )
    return done.stdout.strip()


def start(*argv: str | Path, log: Path, env: Mapping[str, str] | None = None) -> None:
    """Start a process that outlives us, in its own session, as nobody's child.

    Args:
        argv: The command.
        log: What it says is appended here.
        env: Set on top of this process's environment.
    """
    with log.open("ab") as output:
        subprocess.run(
            ("setsid", "--fork", *map(str, argv)),  # noqa: S607
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={**os.environ, **(env or {})},
        )


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


TO_RUN = {
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
    "ssh": "openssh-client",
}
"""Programs that every ``up`` needs, and the Debian packages that bring them."""

TO_BUILD = {"mmdebstrap": "mmdebstrap", "patchelf": "patchelf"}
"""Programs that the first ``up`` needs, to make the base image."""

_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_INSTANCES_PER_HOST = 4
_INSTANCES_FOR_OTHERS = 14

WOULD = (
    "It would: make a base image and a modern Nix once (about 250 MB in the cache folder), start "
    "each host with its own systemd, sshd and Nix, and connect them in a network namespace of "
    "their own. It changes nothing else on this machine"
)


def check(host_count: int, *, has_image: bool) -> None:
    """Refuse a machine that cannot run the lab, and say all that is missing.

    Raises:
        LabRequirementError: With what is missing and what the lab would do.
    """
    check_root()
    programs = TO_RUN if has_image else {**TO_RUN, **TO_BUILD}
    missing = sorted({pkg for name, pkg in programs.items() if shutil.which(name) is None})
    if missing:
        raise LabRequirementError(
            f"a lab needs programs that are not here, from the packages: {', '.join(missing)}. "
            f"{WOULD}",
            hint=f"apt-get install {' '.join(missing)}",
        )
    if "overlay" not in Path("/proc/filesystems").read_text():
        raise LabRequirementError("a lab needs overlayfs in the kernel", hint="modprobe overlay")
    cgroup2_root()
    _check_inotify(host_count)


def check_root() -> None:
    """Refuse another system than Linux, and another user than root.

    Raises:
        LabRequirementError: With what the lab would do.
    """
    if platform.system() != "Linux":
        raise LabRequirementError(f"a lab needs Linux, and this is {platform.system()}. {WOULD}")
    if os.geteuid() != 0:
        raise LabRequirementError(
            f"a lab needs root, to make namespaces and mounts. {WOULD}",
            hint="run the same command as root",
        )


def _check_inotify(host_count: int) -> None:
    limit = int(_INOTIFY.read_text())
    needed = host_count * _INSTANCES_PER_HOST + _INSTANCES_FOR_OTHERS
    if needed > limit:
        raise LabRequirementError(
            f"{host_count} hosts need about {needed} inotify instances, and this machine allows "
            f"{limit}",
            hint=f"sysctl fs.inotify.max_user_instances={max(1024, 2 * needed)}",
        )
