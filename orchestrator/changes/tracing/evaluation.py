"""One evaluation, watched."""

from __future__ import annotations

import posixpath
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from orchestrator.changes.model import GITLINK, Access, Tree
from orchestrator.changes.tracing.tracer import Tracer, accesses
from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.core.foreign import parse_json
from orchestrator.core.process import CommandResult, how_it_ended
from orchestrator.core.store import DrvPath
from orchestrator.nix.log import cause, readable
from orchestrator.nix.verbs import Flake


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


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An attribute of a flake, to be evaluated in a twin of its tree.

    Attributes:
        flake: The flake; its overrides hold for the twin, too.
        fragment: The attribute.
        tree: The tree that the twin is of.
        cache: Variables that give Nix a cache which knows nothing of the twin.
    """

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
        argv = (*tracing, *_NIX, "path-info", "--derivation", *_PURE, "false")
        return await self._run((*argv, *self.flake.arguments, f"{url}#{self.fragment}"), env)

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
