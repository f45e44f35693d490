"""A lab in a temporary folder, and what it may leave on the machine: nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.lab.lab import Lab

COMMAND = Path(sys.executable).with_name("orchestrator")


@dataclass(frozen=True)
class Bench:
    """A fleet in a temporary folder, and its lab."""

    lab: Lab
    folder: Path

    def command(self, *arguments: str) -> list[str]:
        """Return the argv of ``orchestrator lab …`` for this fleet."""
        verb, *rest = arguments
        return [str(COMMAND), "lab", verb, "--fleet", str(self.lab.fleet_root), *rest]

    def ssh(self, host: str, command: str, user: str = "root") -> str:
        """Run a command on a host with nothing but ssh and the lab's ssh_config."""
        keeper = self.lab.network.require()
        argv = ["nsenter", f"--net=/proc/{keeper}/ns/net", "--", "ssh"]
        argv += ["-F", str(self.lab.places.ssh_config), "-l", user, host, command]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def traces(self) -> list[str]:
        """Return what on this machine still belongs to the lab, but for its folder."""
        return [*_cgroups(self.lab.places.id), *_mounts(self.folder), *_processes(self.folder)]


def _cgroups(lab_id: str) -> Iterator[str]:
    for path in Path("/sys/fs/cgroup").rglob(f"*{lab_id}*"):
        yield f"cgroup {path}"


def _mounts(folder: Path) -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if str(folder) in line:
            yield f"mount {line}"


def _processes(folder: Path) -> Iterator[str]:
    """Yield processes that were started for the lab or that see a mount of it."""
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        for name in ("cmdline", "environ", "mountinfo"):
            try:
                text = (process / name).read_text(errors="replace")
            except OSError:  # it ended meanwhile
                continue
            if str(folder) in text:
                yield f"process {process.name}: {name} names {folder}"
