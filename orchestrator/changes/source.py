"""What a run evaluates: the fleet as it was at one moment, in a copy that no edit reaches.

Nix reads a work tree file by file, clean or not. Whoever edits, stashes or checks out meanwhile
makes it read a tree that never was; and Nix's caches keep what came of that under the key of
another. So the copy is taken down when it is made, is evaluated by all in its place, and with
caches that know nothing but such copies.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec import Struct

from orchestrator.changes.plan import Tree, floating
from orchestrator.changes.tree.place import repository
from orchestrator.changes.tree.snapshot import is_of, snapshot, stamp, untracked_nix
from orchestrator.core.errors import StepError, cause_of
from orchestrator.core.host import Host
from orchestrator.core.nix_settings import NixSettings
from orchestrator.core.units import parse_json
from orchestrator.core.values import replace
from orchestrator.nix import verbs as nix
from orchestrator.nix.context import context, fresh_cache, own_cache
from orchestrator.nix.flake import Copied, Flake

_TRIES = 8
_PAUSE = 0.05
"""Seconds by which each try waits longer than the one before: a checkout takes its time."""


class NoTreeError(StepError):
    """There is no copy, as it cannot be told what git tracks: no repository, or a conflict."""


class Ground(Struct, frozen=True):
    """What all evaluations of a run stand on.

    Attributes:
        copy: The fleet's files, where they were copied to.
        tree: The same, where they were copied from.
        whole: What a look at the fleet itself gave at that moment.
        context: What else counts; ``None`` where that may change unseen.
        flake: The copy, to evaluate.
        loose: The inputs that may change although no file does; ``None`` where that is not known.
        unseen: Nix files beside others that git does not track.
    """

    copy: Tree
    tree: Tree
    whole: str
    context: str | None
    flake: Flake
    loose: tuple[str, ...] | None
    unseen: tuple[str, ...] = ()


class Source:
    """One run's source of evaluations; the copy is made when the first one needs it.

    Args:
        flake: The fleet's flake.
        cache: Whether Nix may answer from its evaluation cache where files cannot move: those of
            a flake that is elsewhere.
        lock: Whether Nix may complete the flake's lock file first; else nothing is written.
    """

    def __init__(self, flake: Flake, *, cache: bool = True, lock: bool = False) -> None:
        self._flake = flake
        self._cache = cache
        self._lock = lock
        self._things = AsyncExitStack()
        self._making: asyncio.Task[Ground | StepError] | None = None
        self._alone = asyncio.Lock()
        self._uncopied: Flake | None = None
        self._looked: str | None = None
        self._others: dict[tuple[str, str], Source] = {}
        self._set: dict[NixSettings, Ground] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._making is not None:
            self._making.cancel()
            await asyncio.wait((self._making,))
        for other in self._others.values():
            await other.__aexit__(kind, error, trace)
        await self._things.aclose()

    def of(self, host: Host) -> Source:
        """The source of a host's flake: another one where it has a flake of its own."""
        flake = self._flake.of(host)
        if flake.where == self._flake.where:
            return self
        if flake.where not in self._others:
            self._others[flake.where] = Source(flake, cache=self._cache, lock=self._lock)
        return self._others[flake.where]

    def looked_at(self, tree: Tree) -> None:
        """Let no other tree be copied later on than the one that the run stands on."""
        self._looked = tree.whole

    async def ground(self, host: Host | None = None) -> Ground:
        """The copy, and what is known of it: of a host's flake, as that host is evaluated.

        Raises:
            StepError: It cannot be told what Nix would read, or the files do not come to rest, or
                are others than the run stands on.
        """
        if host is not None:
            return await self.of(host)._ground_with(host.nix)
        if self._making is None:
            self._making = asyncio.create_task(self._make())
        made = await asyncio.shield(self._making)
        if isinstance(made, StepError):
            raise made
        if self._looked not in (None, made.whole):
            raise StepError(
                "the fleet's files were changed since this run looked at them", hint="run it again"
            )
        return made

    async def _ground_with(self, settings: NixSettings) -> Ground:
        """The same copy, as Nix evaluates it with these settings."""
        made = await self.ground()
        if settings == self._flake.settings:
            return made
        if settings not in self._set:
            flake = replace(made.flake, settings=settings)
            facts = _context(replace(self._flake, settings=settings))
            loose = made.loose
            if flake.inputs != made.flake.inputs:
                loose = await _loose(flake, made.copy)
            self._set[settings] = replace(made, flake=flake, context=facts, loose=loose)
        return self._set[settings]

    async def flake(self, host: Host | None = None) -> Flake:
        """What to evaluate: the copy; where there can be none, the flake itself without caches.

        Args:
            host: Whose flake, with its settings; else the fleet's.

        Raises:
            StepError: The copy cannot be made, or the files do not come to rest.
        """
        if host is not None:
            return replace(await self.of(host).flake(), settings=host.nix)
        if self._flake.is_remote:
            return replace(self._flake, eval_cache=self._cache)
        try:
            return (await self.ground()).flake
        except NoTreeError:
            return await self._without_copy()

    async def _without_copy(self) -> Flake:
        from orchestrator.changes.tracing.tracer import workplace

        async with self._alone:
            if self._uncopied is None:
                folder = await self._things.enter_async_context(workplace())
                with _told():
                    self._uncopied = replace(self._flake, env=fresh_cache(folder / "cache"))
                if self._lock and not self._flake.inputs:
                    with contextlib.suppress(StepError):
                        await nix.lock(self._uncopied)
            return self._uncopied

    async def _make(self) -> Ground | StepError:
        """Make the copy; once more where Nix was to complete the lock file, and did."""
        try:
            made = await self._copy()
            if made.loose and self._lock and not self._flake.inputs:
                with contextlib.suppress(StepError):
                    await nix.lock(self._flake)
                made = await self._copy()
        except StepError as error:
            return error
        return made

    async def _copy(self) -> Ground:
        from orchestrator.changes.tracing.tracer import workplace

        for number in range(_TRIES):
            await asyncio.sleep(_PAUSE * number)
            folder = await self._things.enter_async_context(workplace())
            try:
                if found := await self._at_rest(folder / "fleet"):
                    return await self._ground(*found)
            except StepError:
                if number == _TRIES - 1:  # until then, an edit may be the reason
                    raise
        raise StepError(
            "the fleet's files change while they are read",
            hint="try again when nothing writes there: an editor, a checkout, a formatter",
        )

    async def _at_rest(self, copy: Path) -> tuple[Tree, Tree] | None:
        """Copy the files; ``None`` where any of them moved meanwhile, even there and back."""
        from orchestrator.changes.tree.private_copy import copy_repository

        try:
            before = await snapshot_of(self._flake)
        except StepError as error:
            raise NoTreeError(error.message, hint=error.hint, stderr=error.stderr) from None
        when = stamp(before)
        await copy_repository(Path(before.root), copy)
        tree = await snapshot(str(copy / before.flake))
        # Where git converts files they may well differ: the copy is what is evaluated.
        same = tree.whole == before.whole or await self._is_still(before)
        return (before, tree) if same and stamp(before) == when else None

    async def _is_still(self, tree: Tree) -> bool:
        return (await snapshot_of(self._flake)).whole == tree.whole

    async def _ground(self, before: Tree, tree: Tree) -> Ground:
        """Let Nix have a look at the copy, and see that it saw what is there.

        Raises:
            StepError: It did not.
        """
        facts = _context(self._flake)
        with _told():
            flake = self._copied(tree, own_cache())
        in_place = replace(tree, root=before.root)
        unseen = await untracked_nix(before)
        ground = Ground(tree, in_place, before.whole, facts, flake, None, unseen)
        try:
            said = await nix.metadata(flake)
            parsed = parse_json(said)
            loose = floating(said, _lock_file(tree), flake.inputs)
        except (StepError, ValueError, KeyError):
            return ground  # an evaluation tells, and nothing is kept of it
        if not _saw(parsed, tree):
            raise StepError(
                "Nix takes other files for the fleet's: its cache is not to be relied on",
                hint=f"rm -r {shlex.quote(flake.env['XDG_CACHE_HOME'])}",
            )
        return replace(ground, loose=loose)

    def _copied(self, tree: Tree, env: Mapping[str, str]) -> Flake:
        from urllib.parse import quote, urlencode

        original = repository(self._flake.folder)
        query = {"dir": tree.flake} if tree.flake else {}
        # As Nix has it of a flake that is given by its folder.
        if (original / ".git/shallow").exists():
            query["shallow"] = "1"
        ending = f"?{urlencode(query, quote_via=quote)}" if query else ""
        copied = Copied(tree.root, str(original), self._flake.reference)
        reference = f"git+file://{quote(tree.root)}{ending}"
        return replace(self._flake, reference=reference, env=env, copied=copied)


def _context(flake: Flake) -> str | None:
    """What else counts; ``None`` where that may change unseen."""
    try:
        return context(flake)
    except StepError:
        return None


async def _loose(flake: Flake, tree: Tree) -> tuple[str, ...] | None:
    """The inputs that may change although no file does; ``None`` where that is not known."""
    try:
        return await floating_inputs(flake, tree)
    except (StepError, ValueError, KeyError):
        return None


def _lock_file(tree: Tree) -> str:
    file = f"{tree.flake}/flake.lock".lstrip("/")
    place = Path(tree.root, file)
    return place.read_text() if file in tree.entries and place.is_file() else ""


def _saw(said: Mapping[str, Any], tree: Tree) -> bool:
    """Whether what Nix copied into its store is the tree, as far as that can be told."""
    source = Path("/nix/store", said.get("path", "nowhere"))
    return bool(tree.indivisible) or not source.is_dir() or is_of(source, tree)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Tell of a cache that cannot be made."""
    try:
        yield
    except OSError as error:
        raise StepError(f"no cache for Nix: {cause_of(error, named=True)}") from None


async def snapshot_of(flake: Flake) -> Tree:
    """The tree that a flake is in.

    Raises:
        StepError: It cannot be told, or the flake is somewhere else.
    """
    if flake.reference != ".":
        raise StepError("the flake is given by a URL")
    return await snapshot(flake.folder)


async def floating_inputs(flake: Flake, tree: Tree) -> tuple[str, ...]:
    """The flake's inputs that may change although none of its files does.

    Raises:
        StepError: Nix does not tell.
    """
    return floating(await nix.metadata(flake), _lock_file(tree), flake.inputs)
