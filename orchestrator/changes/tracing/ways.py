"""Two ways to see system calls: a library that is preloaded, and strace(1)."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.changes.tracing.tracer import Call, cache_folder
from orchestrator.core import process
from orchestrator.core.errors import StepError

SOURCE = Path(__file__).parent / "shim.c"

_COMPILERS = ("cc", "gcc", "clang")
# Without libc, stack protector and fortification: nothing in it refers to a version of glibc.
_FLAGS = (
    *("-std=gnu11", "-O2", "-fPIC", "-shared", "-nostdlib"),
    *("-fno-builtin", "-fno-stack-protector", "-U_FORTIFY_SOURCE"),
)
_CALLS = {"o": "open", "s": "stat", "l": "readlink"}


@dataclass(frozen=True, slots=True)
class Shim:
    """The compiled shim.

    Attributes:
        library: Where it is; its name tells the source and the compiler.
    """

    library: Path

    @property
    def name(self) -> str:
        """What to call it."""
        return "preloaded shim"

    def command(self, log: Path) -> tuple[str, ...]:  # noqa: ARG002
        """No words: the loader does it."""
        return ()

    def environment(self, log: Path, folder: str) -> Mapping[str, str]:
        """What the loader and the shim read."""
        # It has to be there: the shim takes a missing log for a lost one.
        log.touch(mode=0o600)
        return {
            "LD_PRELOAD": ":".join(filter(None, (str(self.library), os.environ.get("LD_PRELOAD")))),
            "ORCHESTRATOR_TRACE_LOG": str(log),
            "ORCHESTRATOR_TRACE_NAME": folder,
        }

    def calls(self, log: Path, folder: str) -> Iterator[Call]:  # noqa: ARG002
        """Read the records: a letter, the path, a NUL.

        Raises:
            StepError: The last one is cut off, or one is of no known kind.
        """
        content = log.read_bytes()
        if content and not content.endswith(b"\0"):
            raise StepError("the trace is cut off")
        for record in content.split(b"\0")[:-1]:
            call = _CALLS.get(chr(record[0])) if record else None
            if call is None:
                raise StepError(f"the trace holds {record!r}")
            yield call, os.fsdecode(record[1:])


async def compiled() -> Shim:
    """Compile the shim, unless that was done before.

    Raises:
        StepError: There is no C compiler, or it fails.
    """
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        raise StepError(f"there is no C compiler ({', '.join(_COMPILERS)})")
    program = Path(compiler).resolve()
    facts = (SOURCE.read_bytes(), str(program), program.stat().st_mtime_ns, os.uname().machine)
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    library = cache_folder() / f"shim-{key}.so"
    if not library.exists():
        await _compile(compiler, library)
    return Shim(library)


async def _compile(compiler: str, library: Path) -> None:
    """Into a folder of its own first: another process may be doing the same."""
    with tempfile.TemporaryDirectory(dir=library.parent, prefix="shim-") as folder:
        made = Path(folder, library.name)
        done = await process.run((compiler, *_FLAGS, "-o", str(made), str(SOURCE)), deadline=60)
        if done.rc != 0:
            raise StepError("the shim does not compile", stderr=done.err)
        made.chmod(0o700)
        made.replace(library)


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
                    raise StepError("Nix went into the folder: relative paths cannot be resolved")
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
