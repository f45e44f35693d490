"""The lab's gate for processes: argv in, output out, and an error that names the command."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from orchestrator.core.foreign import split_lines
from orchestrator.lab.places import LabError

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
