"""The tracer that is preloaded: ``shim.c``, compiled at its first use."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.changes.tracing.places import cache_folder
from orchestrator.changes.tracing.tracer import Call
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
