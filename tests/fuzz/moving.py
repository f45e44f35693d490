"""Edit on and on while hosts are evaluated and learned, then rest: no verdict may be wrong.

The contents are few, so that the same tree comes again and again, as when a person tries things:
what was kept under its key once, is believed the next time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from editor import PATHS, Editor
from repository import Kind, Repository

from orchestrator.changes.knowledge import KnownSystems
from orchestrator.changes.learn import learn
from orchestrator.changes.plan import Known
from orchestrator.changes.source import Source
from orchestrator.changes.tree.snapshot import snapshot
from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.core.host import Connect, Fleet, Host, Limits
from orchestrator.core.values import replace
from orchestrator.host.setup import Setup
from orchestrator.nix.asker import Quiet
from orchestrator.nix.configuration import Evaluable
from orchestrator.nix.evaluation import Evaluations
from orchestrator.nix.flake import Flake
from orchestrator.ssh.settings import SshSettings

READS = {
    "one": "builtins.readFile ./v/a",
    "two": "builtins.readFile ./v/a + builtins.readFile ./zz/b",
    "imported": "import ./zz/c.nix",
    "listed": "builtins.attrNames (builtins.readDir ./v)",
    "copied": '"${./zz}"',
    "revision": 'self.rev or self.dirtyRev or "none"',
    "whole": '"${self}"',
}
_BULK = 300
"""Files that Nix copies between the key that it takes down and the files that the hosts read."""
_SECONDS = 300.0
_STEPS = 12
"""Edits after each rest, with a look at what is known in between."""
_RUN_EACH = 4
"""After every so many of them a run evaluates what is not known."""
_NIX = ("nix", "--extra-experimental-features", "nix-command flakes")
Verdicts = dict[str, str]
"""Host to derivation; to nothing where it does not evaluate."""


def _flake() -> str:
    hosts = "".join(
        f'nixosConfigurations."{name}".config.system.build.toplevel = '
        f'make "{name}" ({expression});\n'
        for name, expression in READS.items()
    )
    return f"""{{ outputs = {{ self }}: let
  make = name: value: derivation {{
    name = "h-${{name}}"; system = "none"; builder = "none"; value = builtins.toJSON value;
  }};
in {{ {hosts} }}; }}"""


class InPlace:
    """Evaluates where people edit, with Nix's own caches: for seeing that the campaign can fail."""

    def __init__(self, flake: Flake) -> None:
        self._flake = replace(flake, eval_cache=True)

    async def flake(self, _host: Host | None = None) -> Flake:
        """The fleet itself."""
        return self._flake


@dataclass
class Tally:
    """What came of it.

    Attributes:
        right: Verdicts that a fresh evaluation agreed with, by how they came to be.
        wrong: Those that it did not, in words.
        failed: Hosts that were told to fail while files moved, by reason.
        edits: How many edits there were.
    """

    right: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    edits: Counter[str] = field(default_factory=Counter)

    @property
    def verdicts(self) -> int:
        """How many were judged."""
        return self.right.total() + len(self.wrong)

    def hold(self, kind: str, verdicts: Verdicts, truth: Verdicts, where: str) -> None:
        """Hold verdicts against what is so."""
        for name, drv in verdicts.items():
            if drv == truth[name]:
                self.right[kind] += 1
            else:
                self.wrong.append(f"{where}: {kind}: {name} is {truth[name]}, not {drv}")

    def __str__(self) -> str:
        return (
            f"{self.verdicts} verdicts, {len(self.wrong)} wrong; right: {dict(self.right)}; "
            f"{self.edits.total()} edits: {dict(self.edits)}; "
            f"refused while files moved: {dict(self.failed)}"
        )


class Moving:
    """One repository in motion.

    Args:
        folder: Where it is made; it takes the place of the person's cache, too.
        seed: Chooses the edits. How they fall between others' reads, the machine decides.
        in_place: Whether to evaluate where people edit.
    """

    def __init__(self, folder: Path, seed: int, *, in_place: bool = False) -> None:
        self.tally = Tally()
        self._seed = seed
        self._truths: dict[str, Verdicts] = {}
        self._in_place = in_place
        self._random = Random(seed)  # noqa: S311
        self._folder = folder
        self._repository = Repository(folder / "fleet", Kind(constructs={}))
        self._editor = Editor(self._repository, self._random, self.tally.edits)
        self._prepare()
        root = str(self._repository.root)
        self._hosts = tuple(Host(name, name, Connect(name)) for name in READS)
        fleet = Fleet("f", root, root, {host.name: host for host in self._hosts})
        self._setup = Setup(fleet, Flake.at(root, root), SshSettings(), folder / "state")

    def _prepare(self) -> None:
        """Two branches; and what takes a while to be copied before what the hosts read."""
        repository = self._repository
        repository.write("flake.nix", _flake())
        for number in range(_BULK):
            repository.write(f"bulk/{number}", f"{number}" * 20)
        for branch, value in (("main", "1\n"), ("side", "2\n")):
            repository.git("checkout", "-q", "-B", branch)
            for path in PATHS:
                repository.write(path, value)
            repository.git("add", "-A")
            repository.commit()

    async def rounds(self, count: int, told: Callable[[str], None] = lambda _: None) -> Tally:
        """Move and rest, again and again; tell after each how it stands."""
        for number in range(count):
            where = f"seed {self._seed} round {number}"
            stop = threading.Event()
            editing = threading.Thread(target=self._editor.until, args=(stop,))
            editing.start()
            learning = asyncio.create_task(self._learn() if number % 2 == 0 else asyncio.sleep(0))
            try:
                await self._in_motion(where)
            finally:
                stop.set()
                await asyncio.to_thread(editing.join)
            await self._at_rest(where)
            await learning
            for step in range(_STEPS):
                await self._step(step, f"{where} step {step}")
            told(f"{where}: {self.tally}")
        return self.tally

    async def _step(self, step: int, where: str) -> None:
        """Edit once, while nobody evaluates."""
        self._editor.edit()
        await self._look(where)
        if step % _RUN_EACH == 0:
            found = await self._run(where, use=True)
            self.tally.hold("run after an edit", found, await self._truth(), where)

    async def _in_motion(self, where: str) -> None:
        """Evaluate, as several people do at once; one of them with Nix itself."""
        await asyncio.gather(
            self._run(where, use=True, moving=True),
            self._run(where, use=False, moving=True),
            self._nix(self._setup.flake, {}, cache=True),
        )

    async def _at_rest(self, where: str) -> None:
        """Nothing moves: what a run says now is held against the tree itself."""
        truth = await self._truth()
        for use, kind in ((True, "at rest"), (False, "at rest, no cache"), (True, "known at rest")):
            self.tally.hold(kind, await self._run(where, use=use), truth, where)

    async def _look(self, where: str) -> None:
        """Hold what is known after an edit against the tree as it is now."""
        known = KnownSystems(self._setup, self._hosts)
        found = {host.name: await known.of(host) for host in self._hosts}
        verdicts = {
            name: one.fingerprint.evaluated.drv.path
            for name, one in found.items()
            if isinstance(one, Known)
        }
        if verdicts:
            self.tally.hold("known after an edit", verdicts, await self._truth(), where)

    async def _truth(self) -> Verdicts:
        """What the tree itself gives, by a Nix that remembers nothing; asked once of each tree."""
        try:
            whole = (await snapshot(self._setup.flake.folder)).whole
        except StepError:  # a conflict, after a stash was rolled back
            whole = ""
        if not whole or whole not in self._truths:
            with self._fresh() as env:
                self._truths[whole] = await self._nix(self._setup.flake, env)
        return self._truths[whole]

    async def _run(self, where: str, *, use: bool, moving: bool = False) -> Verdicts:
        """Do as a deployment does until systems are to be built."""
        async with Source(self._setup.flake, cache=use) as source:
            known = KnownSystems(self._setup, self._hosts, source, use=use)
            place: Evaluable = InPlace(self._setup.flake) if self._in_place else source
            evaluations = Evaluations(place, Limits(), self._setup.state, len(self._hosts))
            found = await asyncio.gather(
                *(self._of(host, known, evaluations) for host in self._hosts)
            )
            verdicts = dict(zip(READS, found, strict=True))
            # In place they are of no known tree: only Nix's caches keep what came of them.
            if moving and self._in_place:
                return verdicts
            if moving:
                await self._judge(source, verdicts, where)
            await known.keep(1)
        return verdicts

    async def _of(self, host: Host, known: KnownSystems, evaluations: Evaluations) -> str:
        knowledge = await known.of(host)
        if isinstance(knowledge, Known):
            return knowledge.fingerprint.evaluated.drv.path
        try:
            evaluated = await evaluations.evaluate(Quiet(host))
        except StepError as error:
            self.tally.failed[error.message[:120]] += 1
            return ""
        known.taught(host, evaluated)
        return evaluated.drv.path

    async def _judge(self, source: Source, verdicts: Verdicts, where: str) -> None:
        """Hold what a run said while all moved against the copy that it says it is of."""
        try:
            ground = await source.ground()
        except StepError:
            return  # its hosts were refused
        reference = self._folder / f"reference-{id(source)}"
        shutil.copytree(ground.copy.root, reference, symlinks=True)
        try:
            git = ("git", "-C", str(reference), "config", "core.worktree", str(reference))
            await process.run(git, deadline=_SECONDS)
            with self._fresh() as env:
                truth = await self._nix(Flake.at(str(reference), str(reference)), env)
        finally:
            shutil.rmtree(reference)
        self.tally.hold("in motion", verdicts, truth, where)

    async def _nix(self, flake: Flake, env: Mapping[str, str], *, cache: bool = False) -> Verdicts:
        """Evaluate each host by itself, with Nix alone."""
        argv = (*_NIX, "path-info", "--derivation", *(() if cache else ("--no-eval-cache",)))

        async def drvs(*names: str) -> str:
            words = (*argv, *map(flake.toplevel, names))
            done = await process.run(words, deadline=_SECONDS, cwd=flake.folder, env=env)
            return done.out if done.rc == 0 else ""

        if all_of_them := await drvs(*READS):
            paths = {drv.partition("-h-")[2]: drv for drv in all_of_them.split()}
            return {name: paths[f"{name}.drv"] for name in READS}
        return {name: await drvs(name) for name in READS}

    @contextlib.contextmanager
    def _fresh(self) -> Iterator[Mapping[str, str]]:
        """A cache of Nix's that knows nothing."""
        folder = self._folder / f"fresh-{self._random.random()}"
        try:
            yield {"XDG_CACHE_HOME": str(folder), "NIX_CACHE_HOME": str(folder / "nix")}
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _learn(self) -> None:
        """Learn all, as it is done after a deployment."""
        with contextlib.suppress(StepError):
            await learn(self._setup, self._hosts, lambda _: None)


@contextlib.contextmanager
def of_their_own(folder: Path) -> Iterator[None]:
    """Let caches be in a folder; what a person has there is neither used nor filled."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    try:
        yield
    finally:
        if before is None:
            del os.environ["XDG_CACHE_HOME"]
        else:
            os.environ["XDG_CACHE_HOME"] = before
