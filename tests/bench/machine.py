"""What was measured on: the machine, and the versions of all that took part."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def describe() -> str:
    """One line: when, which revision, cores, memory, kernel, versions, and how busy it was."""
    memory = re.search(r"MemTotal: +(\d+) kB", Path("/proc/meminfo").read_text())
    facts = [
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        f"revision {_said('git', '-C', str(REPOSITORY), 'describe', '--always', '--dirty')}",
        f"{os.cpu_count()} cores ({_processor()})",
        f"{int(memory[1]) / 1024**2:.0f} GiB" if memory else "memory unknown",
        f"Linux {platform.release()}",
        f"Python {platform.python_version()}",
        _said("nix", "--version") or "no Nix",
        f"load {os.getloadavg()[0]:.1f} at the start",
    ]
    return ", ".join(facts)


def version_of(argv: Sequence[str]) -> str:
    """The first line that a program says of its version; empty where it says none."""
    return next(iter(_said(*argv).splitlines()), "")


def _processor() -> str:
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _said(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
