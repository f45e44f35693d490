"""Whether a tracer sees what the Nix on the PATH reads: a tiny flake whose reads are known.

A Nix that is linked statically, or that runs with another user's rights, loads no shim. A system
may forbid tracing. Nix may come to read files in a way that is not known here.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from orchestrator.changes.tracing import store
from orchestrator.changes.tracing.paths import accesses
from orchestrator.changes.tracing.tracer import Tracer
from orchestrator.changes.tracing.workplace import workplace
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
