"""The twin evaluation: which files a host's evaluation depends on, or that it depends on all.

What is traced tells which files were read. It does not tell whether a revision, a hash of the whole
tree or its place in the store became part of the result. So not the tree itself is evaluated but
its twin: all the same files, and another place, another hash, other facts of its commit. Where the
same derivation comes of it, none of these counted, and what was traced is all that did.
"""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

from orchestrator.changes.tracing import store
from orchestrator.changes.tracing.copy import copy
from orchestrator.changes.tracing.evaluation import Evaluation, Trace
from orchestrator.changes.tracing.git_twin import make_repository
from orchestrator.changes.tracing.tracer import Tracer
from orchestrator.changes.tracing.workplace import workplace
from orchestrator.changes.tree.model import Tree
from orchestrator.core.errors import StepError
from orchestrator.core.store import DrvPath
from orchestrator.nix.evaluation_cache import fresh_cache
from orchestrator.nix.verbs import Flake

DUMMY = ".orchestrator-twin"
"""The file that a twin has beside the tree's own; its content is new each time."""


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
        flake: The flake in the tree.
        attr: The host's attribute below ``nixosConfigurations``.
        tree: The snapshot whose evaluation is to be learned.
        tracer: The way to see what is read.
        deadline: Seconds for all of it.
        expected: What the tree itself evaluates to: where the twin gives another, nothing more is
            tried.

    Raises:
        StepError: The evaluation was not seen or took too long, or the tree changed since its
            snapshot.
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
            cache = fresh_cache(folder / "cache")
            evaluation = Evaluation(flake, fragment, tree, cache)
            return await _trace(evaluation, tracer, folder, expected)
    except TimeoutError:
        raise StepError(f"the traced evaluation did not end within {deadline:.0f} s") from None


async def _trace(
    evaluation: Evaluation, tracer: Tracer, folder: Path, expected: DrvPath | None
) -> Trace:
    tree, source = evaluation.tree, folder / "source"
    links = await copy(tree, source)
    # A twin for each evaluation: what one of them copied from it into the store, another would
    # find there, and not read.
    (source / DUMMY).write_text(secrets.token_hex(32))
    async with store.added(source) as twin:
        seen = await evaluation.traced(twin, links, tracer, folder / "log")
        if seen.drv is None or tree.dirty or expected not in (None, seen.drv):
            return seen
        # A `path:` has no commit to be dirty against: whether the result depends on that
        # (`self.dirtyRev`), a second twin tells.
        await make_repository(tree, source)
        if await evaluation.of_repository(source) != seen.drv:
            return Trace(None, seen.accesses, "it depends on whether the tree is clean")
        return seen
