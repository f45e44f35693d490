"""The tracer that needs no compiler: strace(1), 5.3 or newer.

All strings are asked for in hexadecimal (``-xx``): what a path holds cannot be taken for syntax.
What is not understood is an error, never left out.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.changes.tracing.tracer import Call
from orchestrator.core.errors import StepError

_HEX = r"((?:\\x[0-9a-f]{2})*)"
# A line's process and the rest; a signal, an end, or the second half of a call that was told.
_LINE = re.compile(r"\d+ +(.*)")
_NO_CALL = re.compile(r"(\+\+\+|---|<\.\.\. )")
_CALL = re.compile(r"(\w+)\((.*)")
# What stands before the path: nothing, or the folder that it starts at.
_PATH = re.compile(rf'(?:(?:AT_FDCWD|-?\d+)(?:<{_HEX}>)?, )?(?:"{_HEX}"(?!\.)|NULL|0x[0-9a-f]+)')
_FOLDER = re.compile(rf"-?\d+(?:<{_HEX}>)?")

_STAT = {"stat", "stat64", "lstat", "lstat64", "newfstatat", "fstatat64", "statx"}
_ACCESS = {"access", "faccessat", "faccessat2", "statfs", "statfs64"}
_NO_PATH = {"getcwd"}


@dataclass(frozen=True, slots=True)
class Strace:
    """The program.

    Attributes:
        program: Where it is.
    """

    program: str

    @property
    def name(self) -> str:
        """What to call it."""
        return "strace"

    def command(self, log: Path) -> tuple[str, ...]:
        """Follow all children; stop at nothing but calls with a path."""
        options = ("-f", "-qq", "-y", "-xx", "--seccomp-bpf", "-e", "trace=%file,fchdir")
        return (self.program, *options, "-o", str(log), "--")

    def environment(self, log: Path, folder: str) -> Mapping[str, str]:  # noqa: ARG002
        """Nothing."""
        return {}

    def calls(self, log: Path, folder: str) -> Iterator[Call]:
        """Read the log.

        Raises:
            StepError: A line is not understood.
        """
        with log.open(encoding="ascii", errors="surrogateescape") as lines:
            for line in lines:
                call = _parse(line.rstrip("\n"))
                if call is None or folder not in call[1]:
                    continue
                if call[0] == "chdir":
                    raise StepError("Nix went into the folder: relative paths cannot be told")
                yield call


def found() -> Strace:
    """Find the program.

    Raises:
        StepError: It is not there.
    """
    program = shutil.which("strace")
    if program is None:
        raise StepError("there is no strace")
    return Strace(program)


def _parse(line: str) -> Call | None:
    """A line's call and path; ``None`` where it has none."""
    if (whole := _LINE.fullmatch(line)) is None:
        raise StepError(f"strace says {line!r}")
    if _NO_CALL.match(whole[1]):
        return None
    if (call := _CALL.match(whole[1])) is None:
        raise StepError(f"strace says {line!r}")
    name, arguments = call.groups()
    if name in _NO_PATH:
        return None
    if name == "fchdir":
        place = _FOLDER.match(arguments)
        return ("chdir", _decode(place[1])) if place and place[1] else None
    if (path := _PATH.match(arguments)) is None:
        raise StepError(f"strace says {line!r}")
    if path[2] is None:
        return None  # a pointer to nowhere
    return _kind(name, arguments), os.path.join(_decode(path[1] or ""), _decode(path[2]))  # noqa: PTH118


def _kind(name: str, arguments: str) -> str:
    """What is not known to ask for less counts as reading."""
    if name in ("chdir", "readlink"):
        return name
    if name == "readlinkat":
        return "readlink"
    if name in _STAT or name in _ACCESS or "O_PATH" in arguments:
        return "stat"
    return "open"


def _decode(text: str) -> str:
    return os.fsdecode(bytes.fromhex(text.replace("\\x", "")))
