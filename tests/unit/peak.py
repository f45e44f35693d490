"""How much memory a program took at most."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Sequence

PEAK = """
def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
"""
"""The most memory that a process ever had, in MiB: proc_pid_status(5)."""


def peak_of(program: str, *arguments: str) -> Sequence[str]:
    """Run a program that can ask for its ``peak()``; what it prints, by lines."""
    argv = (sys.executable, "-c", PEAK + textwrap.dedent(program), *arguments)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done
    return done.stdout.split("\n")
