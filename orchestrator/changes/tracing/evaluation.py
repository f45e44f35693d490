"""An evaluation whose reads are traced, by the way that works on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from orchestrator.changes.plan import GITLINK, Access, Tree
from orchestrator.changes.tracing import ways
from orchestrator.changes.tracing.tracer import Tracer, accesses, added, cache_folder, workplace
from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.core.process import CommandResult, how_it_ended
from orchestrator.core.store import DrvPath
from orchestrator.core.units import parse_json
from orchestrator.nix.log import cause, ran_out_of_memory, readable
from orchestrator.nix.verbs import FEATURES, Flake, OutOfMemoryError

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
        async with added(source) as place:
            name, log = Path(place).name, folder / "log"
            env = {
                "XDG_CACHE_HOME": str(folder / "cache"),
                "NIX_CACHE_HOME": str(folder / "cache/nix"),
                **tracer.environment(log, name),
            }
            nix = ("nix", *FEATURES)
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


def input_accesses(metadata: str, tree: Tree) -> frozenset[Access]:
    """All of the folders that are inputs: Nix may copy them before it reads them elsewhere.

    Args:
        metadata: What ``nix flake metadata --json`` says.
        tree: The tree.
    """
    nodes: Mapping[str, Any] = parse_json(metadata)["locks"]["nodes"]
    folders = set(_folders(nodes, tree.flake))
    return frozenset(
        ("open", path)
        for path in (*tree.entries, *tree.folders)
        if any(folder in ("", path) or path.startswith(f"{folder}/") for folder in folders)
    )


def _folders(nodes: Mapping[str, Any], flake: str) -> Iterator[str]:
    """Where they are; what one is relative to varies: each place that it may be is taken."""
    paths = [str(node.get("locked", {}).get("path", "/")) for node in nodes.values()]
    relative = [path for path in paths if not path.startswith("/")]
    bases = ("", flake, *relative, *(posixpath.join(flake, path) for path in relative))
    for base in bases:
        for path in relative:
            folder = posixpath.normpath(posixpath.join(base, path))
            if not folder.startswith(".."):
                yield "" if folder == "." else folder


_NIX = ("nix", *FEATURES)
# What an imported derivation reads, its builder does, and nobody sees it.
_PURE = ("--no-eval-cache", "--no-write-lock-file", "--option", "allow-import-from-derivation")
_FAKE_DATES = range(315532800, 946684800)
"""The years 1980 to 1999, before git: no commit is of then."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What a twin's evaluation gave and read.

    Attributes:
        drv: The derivation; ``None`` where files cannot tell what it depends on.
        accesses: What was asked of the tree.
        why: Where ``drv`` is ``None``: why, in words.
    """

    drv: DrvPath | None
    accesses: frozenset[Access]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An attribute of a flake, to be evaluated in a twin of its tree.

    Attributes:
        flake: The flake; its overrides hold for the twin, too.
        fragment: The attribute.
        tree: The tree that the twin is of.
        env: Variables that give Nix a cache which knows nothing of the twin, and others.
        on_start: Called with the id of each process that is started.
    """

    flake: Flake
    fragment: str
    tree: Tree
    env: Mapping[str, str | None]
    on_start: Callable[[int], None] | None = None

    async def traced(self, twin: str, links: Mapping[str, str], tracer: Tracer, log: Path) -> Trace:
        """Evaluate the twin in the store, seeing what is read.

        Raises:
            StepError: It was not seen.
        """
        facts = {"lastModified": str(secrets.choice(_FAKE_DATES))}
        if self.tree.dirty:
            facts |= {
                "rev": secrets.token_hex(20),
                "revCount": str(10**6 + secrets.randbelow(10**6)),
            }
        url = _url("path", twin, self.tree, facts)
        # First, so that hashing the whole tree, as some versions do here, is not taken for reading.
        argv = (*_NIX, "flake", "metadata", "--json", "--no-write-lock-file")
        metadata = await self._run((*argv, *self.flake.arguments, url), {})
        if metadata.rc != 0:
            raise _failed(metadata)
        name = Path(twin).name
        done = await self._give(url, tracer.command(log), tracer.environment(log, name))
        found = accesses(tracer.calls(log, name), name, links)
        if ("open", f"{self.tree.flake}/flake.nix".lstrip("/")) not in found:
            raise StepError("the tracer did not see the evaluation", stderr=readable(done.err))
        if done.rc == 1:
            return Trace(None, found, _why_it_fails(done))
        if done.rc != 0:
            raise _failed(done)
        if touched := _submodule(found, self.tree):
            return Trace(None, found, f"it looks into the submodule {touched}")
        found |= input_accesses(metadata.out, self.tree)
        return Trace(DrvPath.parse(done.out), found)

    async def of_repository(self, folder: Path) -> DrvPath | None:
        """Evaluate the twin that is a repository with changes; ``None`` where that fails."""
        done = await self._give(_url("git+file", str(folder), self.tree, {}), (), {})
        return DrvPath.parse(done.out) if done.rc == 0 else None

    async def _give(
        self, url: str, tracing: tuple[str, ...], env: Mapping[str, str]
    ) -> CommandResult:
        argv = (*tracing, *_NIX, "path-info", "--derivation", *self.flake.arguments)
        # The last, so that no option of the inventory's says otherwise.
        return await self._run((*argv, *_PURE, "false", f"{url}#{self.fragment}"), env)

    async def _run(self, argv: tuple[str, ...], env: Mapping[str, str | None]) -> CommandResult:
        env = {**self.env, **env}
        folder, on_start = self.flake.folder, self.on_start
        done = await process.run(argv, deadline=86400, env=env, cwd=folder, on_start=on_start)
        if ran_out_of_memory(done.rc, done.err):
            reason = cause(done.err) or how_it_ended(done.rc)
            raise OutOfMemoryError(f"the traced evaluation failed: {reason}")
        return done


def _url(kind: str, place: str, tree: Tree, facts: Mapping[str, str]) -> str:
    query = {**({"dir": tree.flake} if tree.flake else {}), **facts}
    return f"{kind}:{quote(place)}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")


def _submodule(found: frozenset[Access], tree: Tree) -> str | None:
    """The submodule that was looked at: what Nix sees of it, depends on more than its commit."""
    for path, value in tree.entries.items():
        if value.startswith(GITLINK):
            above = path.rpartition("/")[0]
            for call, touched in found:
                if f"{touched}/".startswith(f"{path}/") or (call == "open" and touched == above):
                    return path
    return None


def _why_it_fails(done: CommandResult) -> str:
    if "allow-import-from-derivation" in done.err:
        return "it imports from a derivation"
    return f"its twin fails: {cause(done.err) or 'no cause is given'}"


def _failed(done: CommandResult) -> StepError:
    reason = cause(done.err) or how_it_ended(done.rc)
    return StepError(f"the traced evaluation failed: {reason}", stderr=readable(done.err))
