"""The twin evaluation: which files a host's evaluation depends on, or that it depends on all.

What is traced tells which files were read. It does not tell whether a revision, a hash of the whole
tree or its place in the store became part of the result. So not the tree itself is evaluated but
its twin: all the same files, and another place, another hash, other facts of its commit. Where the
same derivation comes of it, none of these counted, and what was traced is all that did.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from orchestrator.adapters import process
from orchestrator.adapters.nix import Flake
from orchestrator.adapters.nix_log import cause, readable
from orchestrator.adapters.process import CommandResult, how_it_ended
from orchestrator.adapters.tracing import relative_inputs, store
from orchestrator.adapters.tracing.copy import copy
from orchestrator.adapters.tracing.git_twin import make_repository
from orchestrator.adapters.tracing.nix_cache import fresh_cache
from orchestrator.adapters.tracing.paths import accesses
from orchestrator.adapters.tracing.tracer import Tracer
from orchestrator.adapters.tracing.workplace import workplace
from orchestrator.errors import StepError
from orchestrator.model.fingerprint import Access
from orchestrator.model.store import DrvPath
from orchestrator.model.tree import GITLINK, Tree

DUMMY = ".orchestrator-twin"
"""The file that a twin has beside the tree's own; its content is new each time."""

_NIX = ("nice", "-n", "19", "nix", "--extra-experimental-features", "nix-command flakes")
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


async def trace(
    flake: Flake,
    attr: str,
    tree: Tree,
    tracer: Tracer,
    *,
    deadline: float,
    expected: DrvPath | None = None,
) -> Trace:
    """Evaluate the twin of a host's system, traced, at low priority.

    Args:
        flake: Where the tree is the flake of.
        attr: The host's attribute below ``nixosConfigurations``.
        tree: The snapshot whose evaluation is to be learned.
        tracer: The way to see what is read.
        deadline: Seconds for all of it.
        expected: What the tree itself evaluates to: where the twin gives another, nothing more is
            tried.

    Raises:
        StepError: The evaluation was not seen, or the tree changed since its snapshot.
    """
    fragment = flake.toplevel(attr).partition("#")[2]
    return await trace_fragment(flake, fragment, tree, tracer, deadline=deadline, expected=expected)


async def trace_fragment(
    flake: Flake,
    fragment: str,
    tree: Tree,
    tracer: Tracer,
    *,
    deadline: float,
    expected: DrvPath | None = None,
) -> Trace:
    """Do the same for any attribute of the flake: what stands after ``#``."""
    try:
        async with asyncio.timeout(deadline), workplace() as folder:
            return await _trace(flake, fragment, tree, tracer, folder, expected)
    except TimeoutError:
        raise StepError(f"the traced evaluation did not end within {deadline:.0f} s") from None


async def _trace(
    flake: Flake,
    fragment: str,
    tree: Tree,
    tracer: Tracer,
    folder: Path,
    expected: DrvPath | None,
) -> Trace:
    source = folder / "source"
    links = await copy(tree, source)
    (source / DUMMY).write_text(secrets.token_hex(32))
    async with store.added(source) as twin:
        evaluation = _Evaluation(flake, fragment, tree, fresh_cache(folder / "cache"))
        seen = await evaluation.traced(twin, links, tracer, folder / "log")
        if seen.drv is None or tree.dirty or (expected is not None and seen.drv != expected):
            return seen
        # A `path:` has no commit to be dirty against: whether the result depends on that
        # (`self.dirtyRev`), a second twin tells.
        await make_repository(tree, source)
        second = await evaluation.give(_url("git+file", str(source), tree, {}))
        if second.rc != 0 or DrvPath.parse(second.out) != seen.drv:
            return Trace(None, seen.accesses, "it depends on whether the tree is clean")
        return seen


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """What both twins' evaluations have in common."""

    flake: Flake
    fragment: str
    tree: Tree
    cache: Mapping[str, str]

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
        done = await self.give(url, tracer.command(log), tracer.environment(log, name))
        found = accesses(tracer.calls(log, name), name, links)
        if ("open", f"{self.tree.flake}/flake.nix".lstrip("/")) not in found:
            raise StepError("the tracer did not see the evaluation", stderr=readable(done.err))
        if done.rc == 1:
            return Trace(None, found, _why_it_fails(done))
        if done.rc != 0:
            raise _failed(done)
        if touched := _submodule(found, self.tree):
            return Trace(None, found, f"it looks into the submodule {touched}")
        found |= relative_inputs.accesses(metadata.out, self.tree)
        return Trace(DrvPath.parse(done.out), found)

    async def give(
        self, url: str, tracing: tuple[str, ...] = (), env: Mapping[str, str] | None = None
    ) -> CommandResult:
        """Evaluate to a derivation's path."""
        argv = (*tracing, *_NIX, "path-info", "--derivation", *_PURE, "false")
        return await self._run((*argv, *self.flake.arguments, f"{url}#{self.fragment}"), env or {})

    async def _run(self, argv: tuple[str, ...], env: Mapping[str, str]) -> CommandResult:
        env = {**self.cache, **env}
        return await process.run(argv, deadline=86400, env=env, cwd=self.flake.folder)


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
