"""What was measured on: the machine, and the versions of all that took part."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


PAGE = "docs/performance.md"
BUSY_A_CORE = 0.4
"""A load a core from which what is measured is not this machine's: others work on it, too."""
_SETTLE_SECONDS, _LOOK_SECONDS = 240, 5


def uncommitted(root: Path = REPOSITORY) -> str:
    """Name what of the tree is not committed, but for the page that the run itself writes."""
    changed = _said("git", "-C", str(root), "status", "--porcelain", "--", ".", f":(exclude){PAGE}")
    return ", ".join(line.split(maxsplit=1)[-1] for line in changed.splitlines())


def revision() -> str:
    """The commit that is measured; ``-dirty`` where the tree is not it."""
    said = _said("git", "-C", str(REPOSITORY), "rev-parse", "--short=8", "HEAD") or "unknown"
    return f"{said}-dirty" if uncommitted() else said


def is_busy(load: float, cores: int | None = None) -> bool:
    """Whether others take so much that figures are theirs, too."""
    return load > BUSY_A_CORE * (cores or os.cpu_count() or 1)


def settle() -> None:
    """Wait for the load of what ran before to be over, for four minutes at the most."""
    until = time.monotonic() + _SETTLE_SECONDS
    while is_busy(os.getloadavg()[0]) and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)


def load_words(load: float, cores: int | None = None) -> str:
    """How busy the machine was when a part began; in bold where figures are not to be believed."""
    if is_busy(load, cores):
        return f"**on a busy machine: load {load:.1f} at the start; not to be relied upon**"
    return f"load {load:.1f} at the start"


def describe() -> str:
    """One line: when, which revision, cores, memory, kernel, versions, and how busy it was."""
    memory = re.search(r"MemTotal: +(\d+) kB", Path("/proc/meminfo").read_text())
    facts = [
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        f"revision {revision()}",
        f"{os.cpu_count()} cores ({_processor()})",
        f"{int(memory[1]) / 1024**2:.0f} GiB" if memory else "memory unknown",
        f"Linux {platform.release()}",
        f"Python {platform.python_version()}",
        _said("nix", "--version") or "no Nix",
        load_words(os.getloadavg()[0]),
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
