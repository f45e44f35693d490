"""The twin evaluation: which files a host's evaluation depends on, or that it depends on all.

What is traced tells which files were read. It does not tell whether a revision, a hash of the whole
tree or its place in the store became part of the result. So not the tree itself is evaluated but
its twin: all the same files, and another place, another hash, other facts of its commit. Where the
same derivation comes of it, none of these counted, and what was traced is all that did.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from orchestrator.adapters.nix import Flake
from orchestrator.adapters.tracing import store
from orchestrator.adapters.tracing.copy import copy
from orchestrator.adapters.tracing.evaluation import Evaluation, Trace
from orchestrator.adapters.tracing.git_twin import make_repository
from orchestrator.adapters.tracing.nix_cache import fresh_cache
from orchestrator.adapters.tracing.tracer import Tracer
from orchestrator.adapters.tracing.workplace import workplace
from orchestrator.errors import StepError
from orchestrator.model.store import DrvPath
from orchestrator.model.tree import Tree

DUMMY = ".orchestrator-twin"
"""The file that a twin has beside the tree's own; its content is new each time."""


@asynccontextmanager
async def twin_of(flake: Flake, tree: Tree) -> AsyncIterator[Twin]:
    """Make the twin of a tree; it is gone afterwards, from the store too.

    Args:
        flake: The flake in the tree.
        tree: The snapshot whose evaluations are to be learned.

    Raises:
        StepError: The tree changed since its snapshot, or the store takes no twin.
    """
    async with workplace() as folder:
        source = folder / "source"
        links = await copy(tree, source)
        (source / DUMMY).write_text(secrets.token_hex(32))
        async with store.added(source) as place:
            yield Twin(flake, tree, folder, place, links)


async def trace(
    flake: Flake,
    attr: str,
    tree: Tree,
    tracer: Tracer,
    *,
    deadline: float,
    expected: DrvPath | None = None,
) -> Trace:
    """Evaluate the twin of one host's system: see :meth:`Twin.trace`."""
    async with twin_of(flake, tree) as twin:
        return await twin.trace(attr, tracer, deadline=deadline, expected=expected)


class Twin:
    """A twin in the store. Several hosts may be traced in it, at the same time, too."""

    def __init__(
        self, flake: Flake, tree: Tree, folder: Path, place: str, links: Mapping[str, str]
    ) -> None:
        self._flake = flake
        self._tree = tree
        self._folder = folder
        self._place = place
        self._links = links
        self._numbers = itertools.count()
        self._making = asyncio.Lock()
        self._is_repository = False

    async def trace(
        self, attr: str, tracer: Tracer, *, deadline: float, expected: DrvPath | None = None
    ) -> Trace:
        """Evaluate a host's system, traced, at low priority.

        Args:
            attr: The host's attribute below ``nixosConfigurations``.
            tracer: The way to see what is read.
            deadline: Seconds for all of it.
            expected: What the tree itself evaluates to: where the twin gives another, nothing more
                is tried.

        Raises:
            StepError: The evaluation was not seen, or took too long.
        """
        fragment = self._flake.toplevel(attr).partition("#")[2]
        return await self.trace_fragment(fragment, tracer, deadline=deadline, expected=expected)

    async def trace_fragment(
        self, fragment: str, tracer: Tracer, *, deadline: float, expected: DrvPath | None = None
    ) -> Trace:
        """Do the same for any attribute of the flake: what stands after ``#``."""
        try:
            async with asyncio.timeout(deadline):
                return await self._trace(fragment, tracer, expected)
        except TimeoutError:
            raise StepError(f"the traced evaluation did not end within {deadline:.0f} s") from None

    async def _trace(self, fragment: str, tracer: Tracer, expected: DrvPath | None) -> Trace:
        number = next(self._numbers)
        # One cache each: what one evaluation read, another must not find read.
        cache = fresh_cache(self._folder / f"cache-{number}")
        evaluation = Evaluation(self._flake, fragment, self._tree, cache)
        seen = await evaluation.traced(
            self._place, self._links, tracer, self._folder / f"log-{number}"
        )
        if seen.drv is None or self._tree.dirty or expected not in (None, seen.drv):
            return seen
        # A `path:` has no commit to be dirty against: whether the result depends on that
        # (`self.dirtyRev`), a second twin tells.
        if await evaluation.of_repository(await self._repository()) != seen.drv:
            return Trace(None, seen.accesses, "it depends on whether the tree is clean")
        return seen

    async def _repository(self) -> Path:
        source = self._folder / "source"
        async with self._making:
            if not self._is_repository:
                await make_repository(self._tree, source)
                self._is_repository = True
        return source
