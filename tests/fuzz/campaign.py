"""Edit at random; hold every "unchanged" against a real evaluation."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from edits import edit
from repository import KINDS, Repository

from orchestrator.changes.plan import Fingerprint, Tree, changes, files_of, reads_of
from orchestrator.changes.source import Source, floating_inputs
from orchestrator.changes.tracing.evaluation import Trace
from orchestrator.changes.tracing.tracer import Tracer
from orchestrator.changes.tracing.twin import trace_fragment
from orchestrator.changes.tree.snapshot import snapshot
from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.nix.verbs import Flake

_NAME = re.compile(r"-c-(\w+)\.drv$")
_SECONDS = 300.0
_AT_ONCE = 2
_AGAIN = 0.15


@dataclass
class Tally:
    """What came of a campaign.

    Attributes:
        same: Verdicts "unchanged" that a real evaluation agreed with.
        copied: Evaluations of a private copy that gave what the repository gives.
        wrong: Those that it did not, in words.
        needed: Evaluations that gave something new.
        needless: Evaluations that gave what was known, by construct.
        whole: Of these, those where the whole tree counts.
        unknown: Steps at which nothing could be known, by reason.
    """

    same: int = 0
    copied: int = 0
    wrong: list[str] = field(default_factory=list)
    needed: int = 0
    needless: Counter[str] = field(default_factory=Counter)
    whole: int = 0
    unknown: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Take in another one's figures."""
        self.same += other.same
        self.copied += other.copied
        self.wrong += other.wrong
        self.needed += other.needed
        self.needless += other.needless
        self.whole += other.whole
        self.unknown += other.unknown

    def __str__(self) -> str:
        needless = self.needless.total()
        most = ", ".join(f"{name} {count}" for name, count in self.needless.most_common(8))
        return (
            f"{self.same + len(self.wrong)} verdicts, {len(self.wrong)} wrong; "
            f"{self.copied} evaluations of a copy the same; "
            f"{self.needed} evaluations needed, {needless} needless ({most}), "
            f"{needless - self.whole} of them where files count; nothing known: {self.unknown}"
        )


class Campaign:
    """Random edits to one repository.

    Args:
        folder: Where the repository is made.
        name: Which of ``KINDS``.
        seed: Repeats a campaign, with the same Nix and the same steps.
        tracer: What sees the evaluations.
        most: How many of its constructs to evaluate.
    """

    def __init__(
        self, folder: Path, name: str, seed: int, tracer: Tracer, *, most: int = 1000
    ) -> None:
        self.name = f"{name} seed {seed}"
        self.tally = Tally()
        self._random = Random(f"{name} {seed}")  # noqa: S311
        self._repository = Repository(folder / name, KINDS[name])
        names = list(KINDS[name].constructs)
        self._names = self._random.sample(names, min(most, len(names)))
        self._flake = Flake(".", str(self._repository.flake))
        self._tracer = tracer
        self._known: dict[str, list[Fingerprint]] = {}
        self._last: dict[str, DrvPath] = {}
        self._whole: set[tuple[str, bool]] = set()

    async def run(self, steps: int) -> Tally:
        """Take a number of steps, the first without an edit."""
        done: list[str] = []
        for number in range(steps):
            if number:
                edits = range(self._random.choice((1, 1, 1, 2, 4)))
                done = [edit(self._repository, self._random) for _ in edits]
            await self._step(f"{self.name} step {number}: {', '.join(done)}")
        shutil.rmtree(self._repository.root)
        return self.tally

    async def _step(self, where: str) -> None:
        try:
            tree = await snapshot(self._flake.folder)
        except StepError as error:
            self.tally.unknown[error.message] += 1
            return
        truth = await self._evaluate(self._names, self._flake)
        await self._hold_copy(truth, where)
        unknown = []
        for name in self._names:
            verdicts = [one for one in self._known.get(name, ()) if not changes(one, tree)]
            if not verdicts:
                unknown.append(name)
            for one in verdicts:
                self._hold(one, truth.get(name), f"{where}: {name}")
        # As Nix may have written a lock file in between.
        if (await snapshot(self._flake.folder)).whole == tree.whole:
            await self._learn([name for name in unknown if name in truth], tree, truth)

    def _hold(self, verdict: Fingerprint, truth: DrvPath | None, where: str) -> None:
        if verdict.evaluated.drv == truth:
            self.tally.same += 1
        else:
            self.tally.wrong.append(f"{where}: {verdict.evaluated.drv} is {truth}")

    async def _hold_copy(self, truth: dict[str, DrvPath], where: str) -> None:
        """What deployments evaluate is a copy: to Nix it is the repository."""
        async with Source(self._flake) as source:
            copied = await self._evaluate(self._names, await source.flake())
        for name in truth.keys() | copied.keys():
            if truth.get(name) == copied.get(name):
                self.tally.copied += 1
            else:
                told = f"{where}: {name}: {copied.get(name)} in the copy is {truth.get(name)}"
                self.tally.wrong.append(told)

    async def _evaluate(self, names: Sequence[str], flake: Flake) -> dict[str, DrvPath]:
        """The derivations of all that evaluates: all at once, or half of them after the other."""
        argv = ("nix", "--extra-experimental-features", "nix-command flakes", "path-info")
        options = ("--derivation", *flake.evaluating)
        wanted = (f"{flake.reference}#c.{name}" for name in names)
        done = await process.run(
            (*argv, *options, *wanted), deadline=_SECONDS, cwd=flake.folder, env=flake.env
        )
        if done.rc == 0:
            paths = (DrvPath.parse(line) for line in done.out.splitlines())
            return {match[1]: path for path in paths if (match := _NAME.search(path.path))}
        if len(names) == 1:
            return {}
        middle = len(names) // 2
        first = await self._evaluate(names[:middle], flake)
        rest = await self._evaluate(names[middle:], flake)
        return {**first, **rest}

    async def _learn(self, names: Sequence[str], tree: Tree, truth: dict[str, DrvPath]) -> None:
        names = [name for name in names if not self._kept_whole(name, tree, truth[name])]
        if not names:
            return
        if self._repository.kind.lock and (loose := await floating_inputs(self._flake, tree)):
            self.tally.unknown[f"floating {loose}"] += 1
            return
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(name: str) -> Trace:
            async with gate:
                return await trace_fragment(
                    self._flake,
                    f"c.{name}",
                    tree,
                    self._tracer,
                    deadline=_SECONDS,
                    expected=truth[name],
                )

        traces = await asyncio.gather(*map(one, names))
        for name, seen in zip(names, traces, strict=True):
            fingerprint = _fingerprint(name, tree, truth[name], seen)
            self._keep(fingerprint)
            if fingerprint.reads is None:
                self._whole.add((name, tree.dirty))
            else:
                self._whole.discard((name, tree.dirty))

    def _kept_whole(self, name: str, tree: Tree, drv: DrvPath) -> bool:
        """Mostly do not trace again what depended on the whole tree when it was traced last."""
        if (name, tree.dirty) not in self._whole or self._random.random() < _AGAIN:
            return False
        self._keep(_fingerprint(name, tree, drv, Trace(None, frozenset())))
        return True

    def _keep(self, fingerprint: Fingerprint) -> None:
        name, drv = fingerprint.attr, fingerprint.evaluated.drv
        if self._last.get(name) == drv:
            self.tally.needless[name] += 1
            self.tally.whole += fingerprint.reads is None
        else:
            self.tally.needed += 1
        self._last[name] = drv
        self._known.setdefault(name, []).append(fingerprint)


def _fingerprint(name: str, tree: Tree, drv: DrvPath, seen: Trace) -> Fingerprint:
    reads = reads_of(seen.accesses, tree) if seen.drv == drv and not tree.indivisible else None
    return Fingerprint(
        attr=name,
        context="",
        tree=tree,
        reads=reads,
        files=files_of(reads or (), tree),
        evaluated=Evaluated(drv, OutPath.parse(drv.path.removesuffix(".drv"))),
        run=None,
        at=datetime.now(UTC),
        why_whole=seen.why,
    )


async def campaigns(
    folder: Path,
    seed: int,
    verdicts: int,
    tracer: Tracer,
    *,
    kinds: Sequence[str],
    steps: int,
    told: Callable[[str], None] = lambda _: None,
) -> Tally:
    """Go from campaign to campaign, a new repository each, until there are enough verdicts."""
    total = Tally()
    while total.same + len(total.wrong) < verdicts:
        place = folder / str(seed)
        place.mkdir()
        for name in kinds:
            one = await Campaign(place, name, seed, tracer).run(steps)
            told("\n".join((*one.wrong, f"{name} seed {seed}: {one}")))
            total.add(one)
        seed += 1
    return total
