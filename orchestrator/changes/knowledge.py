"""What is known of hosts' systems without an evaluation."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.changes.fingerprints import Fingerprints
from orchestrator.changes.plan import Comparison, Fingerprint, Knowledge, Known, Tree, Unknown
from orchestrator.changes.source import Ground, Source, snapshot_of
from orchestrator.core.errors import OrchestratorError, StepError
from orchestrator.core.host import Host
from orchestrator.core.store import Evaluated
from orchestrator.core.units import listing
from orchestrator.host.setup import Setup
from orchestrator.nix.context import context
from orchestrator.nix.evaluation import Asker, Evaluations
from orchestrator.nix.flake import Flake
from orchestrator.nix.verbs import is_here

_FILE = "learn.lock"


class BusyError(OrchestratorError):
    """Somebody is learning this fleet already."""


@contextlib.contextmanager
def learning(state: Path) -> Iterator[None]:
    """Hold the fleet's lock on learning; it names this process.

    Raises:
        BusyError: Another process holds it.
    """
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state / _FILE).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BusyError("another process is learning this fleet") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def stop_learning(state: Path) -> None:
    """End whoever learns this fleet: a deployment goes first. What it has learned is kept."""
    try:
        with (state / _FILE).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                # Held: so the process that it names is the one that wrote it.
                pid = file.read()
                if pid.isdecimal():
                    os.kill(int(pid), signal.SIGTERM)
    except (OSError, ValueError):
        return  # nobody ever learned here, or just now came to the end


COLLECTED = "its derivation was collected as garbage"
"""Why a system that is known is evaluated."""

NOT_LEARNED = "what it reads is not learned yet"
"""Why a fingerprint is of the whole tree that was taken in passing."""


def fingerprints_of(state: Path) -> Fingerprints:
    """The database in a fleet's state folder."""
    return Fingerprints(state / "fingerprints.db")


class KnownSystems:
    """One run's knowledge.

    Args:
        setup: The fleet, and where its state is.
        hosts: The hosts of the run.
        source: What the run evaluates where it must; without it, nothing is evaluated.
        use: Whether what is known counts; without it every host is evaluated.
    """

    def __init__(
        self,
        setup: Setup,
        hosts: Sequence[Host],
        source: Source | None = None,
        *,
        use: bool = True,
    ) -> None:
        self._flake = setup.flake
        self._root = setup.fleet.root
        self._store = fingerprints_of(setup.state)
        self._hosts = hosts
        self._source = source
        self._use = use
        self._tree: Tree | None = None
        self._ground: Ground | None = None
        self._taught: dict[str, Evaluated] = {}
        self._looking = asyncio.ensure_future(self._look())

    async def of(self, host: Host) -> Knowledge:
        """What is known of a host."""
        return (await self._looking)[host.name]

    async def system(
        self,
        asker: Asker,
        evaluations: Evaluations,
        on_known: Callable[[Knowledge], None] = lambda _: None,
        *,
        here: bool = False,
    ) -> tuple[Evaluated, Knowledge]:
        """What should run on a host: recalled where nothing changed that counts, else evaluated.

        Args:
            asker: The host, or whoever asks about it.
            evaluations: Where it is evaluated, if it must be.
            on_known: Called with what is known, before an evaluation.
            here: Whether the derivation must be in the store: what is known may have been
                collected as garbage since.

        Raises:
            StepError: The configuration does not evaluate, or not within the memory there is.
        """
        known = await self.of(asker.host)
        on_known(known)
        if isinstance(known, Known):
            evaluated = known.fingerprint.evaluated
            if not here or is_here(evaluated.drv):
                return evaluated, known
            return await self.evaluate(asker, evaluations, COLLECTED), known
        return await self.evaluate(asker, evaluations, known.reason), known

    async def evaluate(self, asker: Asker, evaluations: Evaluations, why: str) -> Evaluated:
        """Evaluate a host, and take down what that gave; raises as :meth:`system`."""
        evaluated = await evaluations.evaluate(asker, why)
        self.taught(asker.host, evaluated)
        return evaluated

    def taught(self, host: Host, evaluated: Evaluated) -> None:
        """Take down what a host's evaluation gave."""
        self._taught[host.name] = evaluated

    async def revision(self) -> str | None:
        """The commit, ``-dirty`` appended where it is; ``None`` where that is not known here."""
        await self._looking
        tree = self._tree
        return None if tree is None or tree.head is None else tree.head + "-dirty" * tree.dirty

    async def all_known(self) -> bool:
        """Whether no host needs an evaluation."""
        return all(isinstance(one, Known) for one in (await self._looking).values())

    @property
    def evaluated(self) -> tuple[str, ...]:
        """The hosts that something was taken down of."""
        return tuple(self._taught)

    async def keep(self, run: int) -> str | None:
        """Keep what was taught: it holds until anything at all changes.

        Returns:
            Why nothing can ever be kept, in words; ``None`` where that is not so.
        """
        ground = self._ground
        if not self._taught or ground is None or ground.loose is None:
            return None
        if ground.loose:
            return f"every run evaluates: flake.lock does not pin {', '.join(ground.loose)}"
        # The files are those of the copy, whatever became of the fleet's; the settings may not be.
        if still_in(self._flake, ground):
            taught = {
                host.attr: self._taught[host.name]
                for host in self._hosts
                if host.name in self._taught
            }
            self._store.keep(_of_whole_tree(ground, taught, run))
        return None

    async def _look(self) -> dict[str, Knowledge]:
        try:
            self._tree = await snapshot_of(self._flake)
            known = self._known(self._tree, context(self._flake))
        except StepError as error:
            return self._all(error.message)
        if self._source is None:
            return known
        if all(isinstance(one, Known) for one in known.values()):
            self._source.looked_at(self._tree)
            return known
        try:
            ground = self._ground = await self._source.ground()
        except StepError:
            return known  # whoever evaluates is told
        if ground.tree.whole != self._tree.whole:
            known = self._known(ground.tree, ground.context)
        self._tree = ground.tree
        return known

    def _known(self, tree: Tree, now: str) -> dict[str, Knowledge]:
        if not self._use:
            return self._all("what is known is not to be used")
        attrs = [host.attr for host in self._hosts]
        held = Comparison(tree)
        found = self._store.find(attrs, now, tree, lambda known: not held.changes(known))
        return {host.name: weigh(found.get(host.attr), held) for host in self._hosts}

    def _all(self, reason: str) -> dict[str, Knowledge]:
        return {host.name: Unknown(reason) for host in self._hosts}


def still_in(flake: Flake, ground: Ground) -> bool:
    """Whether all that counts besides the files is as it was."""
    try:
        return context(flake) == ground.context
    except StepError:
        return False


def weigh(fingerprint: Fingerprint | None, held: Comparison) -> Knowledge:
    """Tell whether a host's fingerprint, the best there is, holds."""
    if fingerprint is None:
        return Unknown("it was not evaluated before")
    changed = held.changes(fingerprint)
    if not changed:
        return Known(fingerprint)
    if fingerprint.reads is None:
        reason = f"{listing(changed)} changed, and {fingerprint.why_whole}"
        return Unknown(reason, changed, fingerprint)
    return Unknown(f"{listing(changed)} changed", changed, fingerprint)


def _of_whole_tree(
    ground: Ground, taught: Mapping[str, Evaluated], run: int
) -> Iterator[Fingerprint]:
    for attr, evaluated in taught.items():
        yield Fingerprint(
            attr=attr,
            context=ground.context,
            tree=ground.tree,
            reads=None,
            files=len(ground.tree.entries),
            evaluated=evaluated,
            run=run,
            at=datetime.now(UTC),
            why_whole=NOT_LEARNED,
        )
