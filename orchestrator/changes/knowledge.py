"""What is known of hosts' systems without an evaluation."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.changes.fingerprints import Fingerprints
from orchestrator.changes.plan import Comparison, Fingerprint, Knowledge, Known, Tree, Unknown
from orchestrator.changes.source import Ground, Source, snapshot_of
from orchestrator.core.errors import StepError
from orchestrator.core.host import Host
from orchestrator.core.store import Evaluated
from orchestrator.core.units import listing
from orchestrator.host.setup import Setup
from orchestrator.nix.context import context
from orchestrator.nix.flake import Flake
from orchestrator.nix.verbs import is_here

if TYPE_CHECKING:
    from orchestrator.nix.asker import Asker
    from orchestrator.nix.evaluation import Evaluations

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

    Attributes:
        hosts: The hosts of the run.
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
        self.hosts = hosts
        self._source = source
        self._use = use
        self._trees: dict[Place, Tree] = {}
        self._unseen: dict[Place, tuple[str, ...]] = {}
        self._taught: dict[str, Evaluated] = {}
        self._looking = asyncio.ensure_future(self._look())

    async def of(self, host: Host) -> Knowledge:
        """What is known of a host."""
        return (await self._looking)[host.name]

    async def system(
        self,
        asker: Asker,
        evaluations: Evaluations,
        *,
        here: bool = False,
    ) -> tuple[Evaluated, Knowledge]:
        """What should run on a host: recalled where nothing changed that counts, else evaluated.

        Args:
            asker: The host, or whoever asks about it.
            evaluations: Where it is evaluated, if it must be.
            here: Whether the derivation must be in the store: what is known may have been
                collected as garbage since.

        Raises:
            StepError: The configuration does not evaluate, or not within the memory there is.
        """
        known = await self.of(asker.host)
        if isinstance(known, Known):
            evaluated = known.fingerprint.evaluated
            if not here or is_here(evaluated.drv):
                return evaluated, known
            return await self.evaluate(asker, evaluations, COLLECTED), known
        return await self.evaluate(asker, evaluations, known.reason), known

    async def evaluate(self, asker: Asker, evaluations: Evaluations, why: str) -> Evaluated:
        """Evaluate a host, and take down what that gave; raises as :meth:`system`."""
        from orchestrator.nix.once import waiting

        evaluated = await evaluations.once.of(
            (self._flake.of(asker.host), asker.host.attr),
            lambda: evaluations.evaluate(asker, why),
            holds=lambda known: is_here(known.drv),
            waiting=lambda: waiting(asker),
        )
        self.taught(asker.host, evaluated)
        return evaluated

    def taught(self, host: Host, evaluated: Evaluated) -> None:
        """Take down what a host's evaluation gave."""
        self._taught[host.name] = evaluated

    async def revision(self, host: Host | None = None) -> str | None:
        """The commit of the fleet's flake, or of a host's, ``-dirty`` appended where it is.

        Returns:
            ``None`` where that is not known here.
        """
        await self._looking
        tree = self._trees.get((self._flake.of(host) if host else self._flake).where)
        return None if tree is None or tree.head is None else tree.head + "-dirty" * tree.dirty

    async def unseen(self) -> tuple[str, ...]:
        """Nix files beside others that git does not track, where anything was evaluated."""
        await self._looking
        found = [self._unseen[place] for place in sorted(self._unseen)]
        return tuple(dict.fromkeys(path for paths in found for path in paths))

    async def all_known(self) -> bool:
        """Whether no host needs an evaluation."""
        return all(isinstance(one, Known) for one in (await self._looking).values())

    @property
    def evaluated(self) -> tuple[str, ...]:
        """The hosts that something was taken down of."""
        return tuple(self._taught)

    async def keep(self, run: int | None) -> str | None:
        """Keep what was taught: it holds until anything at all changes.

        Args:
            run: The deployment; ``None`` where something else evaluated.

        Returns:
            Why nothing can ever be kept, in words; ``None`` where that is not so.
        """
        never = None
        for flake, hosts in alike(self._flake, self.hosts).items():
            taught = {
                flake.key(host.attr): self._taught[host.name]
                for host in hosts
                if host.name in self._taught
            }
            if taught and flake.where in self._unseen and not flake.settings.impure:
                never = await self._keep(flake, hosts[0], taught, run) or never
        return never

    async def _keep(
        self, flake: Flake, host: Host, taught: Mapping[str, Evaluated], run: int | None
    ) -> str | None:
        assert self._source is not None
        ground = await self._source.ground(host)
        if ground.loose:
            return f"every run evaluates: flake.lock does not pin {', '.join(ground.loose)}"
        # The files are those of the copy, whatever became of the fleet's; the settings may not be.
        if ground.loose is not None and still_in(flake, ground):
            self._store.keep(_of_whole_tree(ground, taught, run))
        return None

    async def _look(self) -> dict[str, Knowledge]:
        places: dict[Place, list[Host]] = {}
        for flake, hosts in alike(self._flake, self.hosts).items():
            places.setdefault(flake.where, []).extend(hosts)
        found: dict[str, Knowledge] = {}
        for hosts in places.values():
            found |= await self._look_at(self._flake.of(hosts[0]), hosts)
        return found

    async def _look_at(self, flake: Flake, hosts: Sequence[Host]) -> dict[str, Knowledge]:
        """Look at one of the fleet's flakes."""
        try:
            tree = self._trees[flake.where] = await snapshot_of(flake)
        except StepError as error:
            return _all(hosts, error.message)
        known = self._known(tree, hosts)
        if self._source is None:
            return known
        if all(isinstance(one, Known) for one in known.values()):
            self._source.of(hosts[0]).looked_at(tree)
            return known
        try:
            ground = await self._source.of(hosts[0]).ground()
        except StepError:
            return known  # whoever evaluates is told
        if ground.tree.whole != tree.whole:
            known = self._known(ground.tree, hosts)
        self._trees[flake.where] = ground.tree
        self._unseen[flake.where] = ground.unseen
        return known

    def _known(self, tree: Tree, hosts: Sequence[Host]) -> dict[str, Knowledge]:
        if not self._use:
            return _all(hosts, "what is known is not to be used")
        held, found = Comparison(tree), dict[str, Knowledge]()
        for flake, alikes in alike(self._flake, hosts).items():
            if flake.settings.impure:
                found |= _all(alikes, IMPURE)
                continue
            try:
                found |= self._recalled(flake, alikes, held)
            except StepError as error:
                found |= _all(alikes, error.message)
        return found

    def _recalled(
        self, flake: Flake, hosts: Sequence[Host], held: Comparison
    ) -> dict[str, Knowledge]:
        keys = {host.name: flake.key(host.attr) for host in hosts}
        best = self._store.find(
            keys.values(), context(flake), held.tree, lambda known: not held.changes(known)
        )
        weighed = {key: weigh(best.get(key), held) for key in {*keys.values()}}
        return {name: weighed[key] for name, key in keys.items()}


Place = tuple[str, str]
"""A flake's own, however it is evaluated."""

IMPURE = "it is evaluated with --impure, and so may read what no file of the fleet says"
"""Why nothing is ever known of a host that the inventory has evaluated impurely."""


def alike(flake: Flake, hosts: Iterable[Host]) -> dict[Flake, list[Host]]:
    """Put together the hosts that are evaluated from one flake and with the same settings.

    Args:
        flake: The fleet's.
        hosts: The hosts.
    """
    found: dict[Flake, list[Host]] = {}
    for host in hosts:
        found.setdefault(flake.of(host), []).append(host)
    return found


def _all(hosts: Iterable[Host], reason: str) -> dict[str, Knowledge]:
    return {host.name: Unknown(reason) for host in hosts}


def still_in(flake: Flake, ground: Ground) -> bool:
    """Whether all that counts besides the files is known, and as it was."""
    try:
        return ground.context is not None and context(flake) == ground.context
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
        reason = f"{moved(changed, fingerprint, held)}, and {fingerprint.why_whole}"
        return Unknown(reason, changed, fingerprint)
    return Unknown(moved(changed, fingerprint, held), changed, fingerprint)


def moved(paths: Sequence[str], fingerprint: Fingerprint, held: Comparison) -> str:
    """Say what became of paths since a fingerprint: changed, new or gone."""
    old, new = fingerprint.tree.entries, held.tree.entries
    came = [path for path in paths if path in new and path not in old]
    went = [path for path in paths if path in old and path not in new]
    stayed = [path for path in paths if path not in {*came, *went}]
    words = {
        "changed": stayed,
        "is new" if len(came) == 1 else "are new": came,
        "is gone" if len(went) == 1 else "are gone": went,
    }
    return "; ".join(f"{listing(those)} {word}" for word, those in words.items() if those)


def _of_whole_tree(
    ground: Ground, taught: Mapping[str, Evaluated], run: int | None
) -> Iterator[Fingerprint]:
    assert ground.context is not None
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
