"""Which way sees all that this Nix reads."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from orchestrator.changes.tracing import tracer as store
from orchestrator.changes.tracing import ways
from orchestrator.changes.tracing.tracer import Tracer, accesses, cache_folder, workplace
from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.nix.log import cause

_SECONDS = 120.0

_FLAKE = """{
  outputs = _: {
    probe = derivation {
      name = "probe";
      system = "none";
      builder = "none";
      seen = [
        (import ./imported)
        (builtins.readFile ./read)
        (builtins.attrNames (builtins.readDir ./listed))
        (builtins.pathExists ./there)
        (builtins.pathExists ./absent)
        (builtins.readFileType ./typed)
        (builtins.readFile ./link)
        "${./copied}"
      ];
    };
  };
}
"""
_FILES = {
    "imported/default.nix": '"imported"',
    "read": "read",
    "listed/one": "",
    "there": "",
    "typed": "",
    "led/to": "led",
    "copied/one": "one",
    "copied/below/two": "two",
}
_LINKS = {"link": "led/to", "copied/link": "one"}

_EXPECTED = {
    ("open", "flake.nix"),
    ("open", "imported/default.nix"),
    ("open", "read"),
    ("open", "listed"),
    ("stat", "there"),
    ("stat", "absent"),
    ("stat", "typed"),
    ("readlink", "link"),
    ("open", "led/to"),
    ("open", "copied"),
    ("open", "copied/one"),
    ("open", "copied/below"),
    ("open", "copied/below/two"),
    ("readlink", "copied/link"),
}


async def check(tracer: Tracer) -> None:
    """Trace the tiny flake.

    Raises:
        StepError: Not all that it reads was seen; the message says what was not.
    """
    async with workplace() as folder:
        source = folder / "source"
        _write(source)
        async with store.added(source) as place:
            name, log = Path(place).name, folder / "log"
            env = {
                "XDG_CACHE_HOME": str(folder / "cache"),
                "NIX_CACHE_HOME": str(folder / "cache/nix"),
                **tracer.environment(log, name),
            }
            nix = ("nix", "--extra-experimental-features", "nix-command flakes")
            argv = (*tracer.command(log), *nix, "path-info", "--derivation", f"path:{place}#probe")
            done = await process.run(argv, deadline=_SECONDS, env=env)
            if done.rc != 0:
                raise StepError(f"Nix fails under it: {cause(done.err) or done.err}")
            # Without the links: each call itself has to be seen, too.
            seen = accesses(tracer.calls(log, name), name, {})
    if missed := sorted(path for call, path in _EXPECTED - seen):
        raise StepError(f"it does not see Nix read {', '.join(missed)}")


def _write(folder: Path) -> None:
    files = {**_FILES, "flake.nix": _FLAKE, "nonce": secrets.token_hex(32)}
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    for name, target in _LINKS.items():
        (folder / name).symlink_to(target)


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
    for name, ready in (("preloaded shim", ways.compiled), ("strace", _strace)):
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
    return ways.found()


async def _check(tracer: Tracer) -> None:
    """Test a tracer on this Nix; a success is remembered."""
    nix = shutil.which("nix")
    if nix is None:
        raise StepError("there is no `nix` on the PATH")
    mark = cache_folder() / f"works-{_key(Path(nix).resolve(), tracer)}"
    if mark.exists():
        return
    await check(tracer)
    with contextlib.suppress(OSError):
        mark.touch(mode=0o600)


def _key(nix: Path, tracer: Tracer) -> str:
    """Another Nix, another tracer or another test: another key."""
    facts = (
        str(nix),
        nix.stat().st_mtime_ns,
        nix.stat().st_size,
        repr(tracer),
        Path(__file__).read_bytes(),
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
