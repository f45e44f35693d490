"""The oracle's eyes: a host read from outside, through the mounts and processes that it has.

Nothing here is the product's, and nothing is asked of the host but what systemd says of its units:
links, files and processes are read by this machine's kernel, be the host frozen, full or cut off.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MARKERS = ("/etc/marker", "/etc/second")
"""Files of each system that say from which content of the repository it was built."""

_HOPS = 40
_PROFILES = "/nix/var/nix/profiles"
_ROOTS = "/nix/var/nix/gcroots/orchestrator"
_OURS = ("/run/orchestrator", "/var/lib/orchestrator")
_LOCK = "/run/orchestrator/lock"
_UNITS = ("/etc/systemd/system.control", "/run/systemd/transient", "/run/systemd/system")
_COMMON = ("/tmp", "/var/tmp", "/dev/shm", "/root", "/var/lib/deploy", "/run", "/var/lib")
# Of these places, what lasts from one deployment to the next.
_LASTS = frozenset({"attempt", "guard", "guard.lock", "hold", "log", "mutex", "record"})
_SSH = ("-F", "/dev/null", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes")


@dataclass(frozen=True, slots=True)
class Look:
    """What a host is at one moment.

    Attributes:
        running: The store path of the system that runs; nothing while the host is off.
        profile: That of the system profile.
        boot_default: That which the boot loader's files name.
        generations: The profile's links whose systems are there.
        marks: What the activation wrote of the content that the system was built from.
        guarded: Whether a unit of a guard has processes.
    """

    running: str | None
    profile: str | None
    boot_default: str | None
    generations: frozenset[str]
    marks: tuple[str | None, ...]
    guarded: bool

    @property
    def systems(self) -> set[str | None]:
        """One, where all is well."""
        return {self.running, self.profile, self.boot_default}


@dataclass(frozen=True, slots=True)
class Eyes:
    """A host, from outside.

    Attributes:
        leader: The process that is PID 1 there, where the host has power.
        cgroup: The folder of the host's control group.
    """

    leader: Callable[[], int | None]
    cgroup: Path

    @property
    def root(self) -> Path | None:
        """The host's files, as its PID 1 has them mounted."""
        leader = self.leader()
        return None if leader is None else Path(f"/proc/{leader}/root")

    def look(self) -> Look | None:
        """Look at the host; nothing where it is off, or ends at this moment."""
        try:
            return None if (root := self.root) is None else _look(root, self.guards() != [])
        except OSError:
            return None

    def marks_of(self, system: str | None) -> tuple[str | None, ...]:
        """The content that a system in the host's store was built from."""
        root = self.root
        if root is None or system is None:
            return (None,) * len(MARKERS)
        return tuple(_text(root, f"{system}{name}") for name in MARKERS)

    def guards(self) -> list[int]:
        """The processes of guards' units."""
        units = self.cgroup.glob("machine/payload/system.slice/orchestrator-guard*/cgroup.procs")
        return [pid for unit in units for pid in _pids(unit)]

    def rests(self) -> bool:
        """Whether nothing of a guard is at work or about to be, by systemd's word and the kernel's.

        A host that boots does not rest.
        """
        if self.look() is None or self.guards():
            return False
        units = self.systemctl("list-units", "--all", "orchestrator-*")
        busy = [line for line in units if " activating " in line or " deactivating " in line]
        jobs = [line for line in self.systemctl("list-jobs") if line[:1].isdigit()]
        return not busy and not jobs

    def systemctl(self, *words: str) -> list[str]:
        """What systemd there says; it is no part of the product. Nothing where it does not."""
        leader = self.leader()
        argv = ("nsenter", f"--target={leader}", "--all", "--", "systemctl", "--plain")
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                (*argv, "--no-legend", "--no-pager", *words),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=10,
                check=False,
            )
            return done.stdout.decode(errors="replace").split("\n")[:-1]
        return ["systemd does not answer activating "]

    def names(self) -> set[str]:
        """Every name in the places where a deployment might leave something."""
        root = self.root
        if root is None:
            return set()
        places = (*_OURS, *_UNITS, *_COMMON, _ROOTS)
        return {f"{place}/{name}" for place in places for name in _names(root, place)}

    def debris(self, before: set[str]) -> list[str]:
        """What a deployment has left that is over: files, units, processes, locks.

        Args:
            before: The names that were there before it.
        """
        root = self.root
        if root is None:
            return ["the host is off"]
        found = [f"the file {name}" for name in sorted(self.names()) if _is_debris(name, before)]
        found += [f"the unit {line.split()[0]}" for line in self._units()]
        found += [f"the process {pid}: {words}" for pid, words in self._processes()]
        found += [f"a lock of {name}" for name in _locked(root)]
        return found + [f"a lock that counts until {end}" for end in _counting_locks(root)]

    def login(self, address: str, keeper: int, keys: Path) -> str | None:
        """Log in anew with the deployer's key, by ssh(1), and use sudo; what goes wrong there.

        Args:
            address: The host's.
            keeper: A process in the deployer's network.
            keys: A folder with ``id_ed25519`` and ``known_hosts``.
        """
        argv = ("nsenter", f"--net=/proc/{keeper}/ns/net", "--", "ssh", *_SSH)
        trust = ("-o", f"UserKnownHostsFile={keys}/known_hosts", "-o", "ConnectTimeout=5")
        try:
            done = subprocess.run(
                (*argv, *trust, "-i", f"{keys}/id_ed25519", f"deploy@{address}", "sudo -n id -u"),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=15,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "ssh does not end"
        if done.returncode == 0 and done.stdout.strip() == b"0":
            return None
        return f"exit {done.returncode}: {done.stderr[-300:]!r}"

    def _units(self) -> list[str]:
        return self.systemctl("list-units", "--all", "orchestrator-*")

    def _processes(self) -> list[tuple[int, str]]:
        found = []
        for group in (self.cgroup / "machine/payload").rglob("cgroup.procs"):
            for pid in _pids(group):
                with contextlib.suppress(OSError):  # it ended meanwhile
                    words = Path(f"/proc/{pid}/cmdline").read_bytes()[:400]
                    if b"orchestrator" in words:
                        found.append((pid, repr(words)))
        return found


def _look(root: Path, guarded: bool) -> Look:
    return Look(
        running=resolve(root, "/run/current-system"),
        profile=resolve(root, f"{_PROFILES}/system"),
        boot_default=_boot_default(root),
        generations=frozenset(_generations(root)),
        marks=tuple(_text(root, name) for name in MARKERS),
        guarded=guarded,
    )


def resolve(root: Path, path: str) -> str | None:
    """Follow links as the host would; nothing where they lead to nothing."""
    todo, done = path.split("/"), "/"
    for _ in range(4 * _HOPS):
        if not todo:
            return done if _exists(root, done) else None
        part = todo.pop(0)
        if part in ("", "."):
            continue
        if part == "..":
            done = os.path.dirname(done)  # noqa: PTH120
            continue
        here = os.path.join(done, part)  # noqa: PTH118
        try:
            target = os.readlink(f"{root}{here}")  # noqa: PTH115
        except OSError:
            done = here
            continue
        todo = target.split("/") + todo
        done = "/" if target.startswith("/") else done
    return None


def _exists(root: Path, path: str) -> bool:
    try:
        os.lstat(f"{root}{path}")
    except FileNotFoundError:
        return False
    return True


def _text(root: Path, path: str) -> str | None:
    """The beginning of a small file."""
    if (found := resolve(root, path)) is None:
        return None
    with contextlib.suppress(FileNotFoundError), Path(f"{root}{found}").open("rb") as file:
        return file.read(65536).decode(errors="replace").strip()
    return None


def _boot_default(root: Path) -> str | None:
    """The system of the entry that ``loader.conf`` names; see loader.conf(5)."""
    wanted = re.findall(r"^default\s+(\S+)", _text(root, "/boot/loader/loader.conf") or "", re.M)
    if not wanted or "/" in wanted[-1]:
        return None
    entry = _text(root, f"/boot/loader/entries/{wanted[-1]}") or ""
    init = re.search(r"^options\s.*?\binit=(\S+)/init\b", entry, re.M)
    return init[1] if init else None


def _generations(root: Path) -> list[str]:
    found = []
    for name in _names(root, _PROFILES):
        if re.fullmatch(r"system-\d+-link", name):
            target = resolve(root, f"{_PROFILES}/{name}")
            if target is not None and _exists(root, f"{target}/init"):
                found.append(f"{name} {target}")
    return found


def _names(root: Path, place: str) -> list[str]:
    with contextlib.suppress(OSError):
        return os.listdir(f"{root}{place}")  # noqa: PTH208
    return []


def _is_debris(name: str, before: set[str]) -> bool:
    place, _, last = name.rpartition("/")
    if name in (*_OURS, _LOCK):
        return False
    if place in _OURS:
        return last not in _LASTS
    if place == _ROOTS:
        return True
    if place in _UNITS:
        return "orchestrator" in last
    return name not in before and ("orchestrator" in last or place not in ("/run", "/var/lib"))


def _pids(procs: Path) -> list[int]:
    try:
        return [int(line) for line in procs.read_text().split()]
    except OSError:  # the group is gone
        return []


def _locked(root: Path) -> list[str]:
    """The lock files of deployments that somebody holds, by proc_locks(5)."""
    held = {line.split()[5] for line in _lock_lines()}
    found = []
    for name in ("/run/orchestrator/mutex", "/run/orchestrator/guard.lock"):
        with contextlib.suppress(OSError):
            about = os.lstat(f"{root}{name}")
            disk = about.st_dev
            held_as = f"{os.major(disk):02x}:{os.minor(disk):02x}:{about.st_ino}"
            if stat.S_ISREG(about.st_mode) and held_as in held:
                found.append(name)
    return found


def _counting_locks(root: Path) -> list[str]:
    """Until when a deployment's lock counts, by proc_uptime(5); one that ended is nobody's."""
    ends = re.findall(r"^expires=(\d+)$", _text(root, _LOCK) or "", re.M)
    now = float(Path("/proc/uptime").read_text().split()[0])
    return [end for end in ends if int(end) > now]


def _lock_lines() -> list[str]:
    lines = Path("/proc/locks").read_text().split("\n")
    return [line for line in lines if "FLOCK" in line and "->" not in line]
