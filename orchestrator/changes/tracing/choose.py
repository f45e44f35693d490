"""Which tracer works here: the first that sees all that the Nix on the PATH reads."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from orchestrator.changes.tracing import self_test, shim, strace
from orchestrator.changes.tracing.places import cache_folder
from orchestrator.changes.tracing.tracer import Tracer
from orchestrator.core.errors import StepError


@dataclass(frozen=True, slots=True)
class Choice:
    """What was found.

    Attributes:
        tracer: The tracer; ``None`` where none works.
        sentence: Which it is and why not another, for a person.
    """

    tracer: Tracer | None
    sentence: str


async def find() -> Tracer | None:
    """Find a tracer that works; ``None`` where there is none."""
    return (await choose()).tracer


async def choose() -> Choice:
    """Try one after the other, unless it is known from before how that ends."""
    failures = []
    for name, ready in (("preloaded shim", shim.compiled), ("strace", _strace)):
        try:
            tracer = await ready()
            await _check(tracer)
        except StepError as error:
            failures.append(f"{name}: {error.message}")
        else:
            return Choice(tracer, "; ".join((f"{tracer.name} works", *failures)))
    why = "; ".join(failures)
    return Choice(None, f"no tracer works: any change to the fleet counts for every host ({why})")


async def _strace() -> Tracer:
    return strace.found()


async def _check(tracer: Tracer) -> None:
    """Test a tracer on this Nix; a success is remembered."""
    nix = shutil.which("nix")
    if nix is None:
        raise StepError("there is no `nix` on the PATH")
    mark = cache_folder() / f"works-{_key(Path(nix).resolve(), tracer)}"
    if mark.exists():
        return
    await self_test.check(tracer)
    with contextlib.suppress(OSError):
        mark.touch(mode=0o600)


def _key(nix: Path, tracer: Tracer) -> str:
    """Another Nix, another tracer or another test: another key."""
    facts = (
        str(nix),
        nix.stat().st_mtime_ns,
        nix.stat().st_size,
        repr(tracer),
        Path(self_test.__file__).read_bytes(),
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
