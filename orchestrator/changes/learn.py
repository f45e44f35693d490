"""Find out what evaluations read; which hosts a change of files touches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.changes.knowledge import (
    IMPURE,
    NOT_LEARNED,
    KnownSystems,
    alike,
    fingerprints_of,
    moved,
    still_in,
)
from orchestrator.changes.plan import Comparison, Fingerprint, Known, Read, files_of, reads_of
from orchestrator.changes.source import Ground, Source, snapshot_of
from orchestrator.changes.tracing.evaluation import Trace, find
from orchestrator.changes.tracing.tracer import Tracer
from orchestrator.changes.tracing.twin import trace
from orchestrator.changes.tree.snapshot import at_revision
from orchestrator.changes.turns import learning
from orchestrator.core.errors import StepError
from orchestrator.core.host import Host
from orchestrator.core.store import Evaluated
from orchestrator.core.together import together
from orchestrator.core.values import replace
from orchestrator.host.setup import Setup
from orchestrator.nix.asker import Quiet
from orchestrator.nix.configuration import Configuration
from orchestrator.nix.context import context
from orchestrator.nix.evaluation import Evaluations
from orchestrator.nix.flake import Flake


async def affected(setup: Setup, hosts: Sequence[Host], since: str | None) -> Mapping[str, str]:
    """Name the hosts whose system may be another one now, each with the reason.

    A host is left out only where its system is known at both ends and is the same: what is not
    known is affected.

    Args:
        setup: The fleet.
        hosts: The hosts to look at.
        since: A revision of git's; without one, each host's last evaluation.

    Raises:
        StepError: There is no such revision, or the fleet's tree cannot be told.
    """
    if since is None:
        known = KnownSystems(setup, hosts)
        found = {host.name: await known.of(host) for host in hosts}
        return {name: one.reason for name, one in found.items() if not isinstance(one, Known)}
    found_since: dict[str, str] = {}
    for flake, alikes in alike(setup.flake, hosts).items():
        found_since |= await _since(setup, flake, alikes, since)
    return {host.name: found_since[host.name] for host in hosts if host.name in found_since}


async def _since(
    setup: Setup, flake: Flake, hosts: Sequence[Host], since: str
) -> Mapping[str, str]:
    """The same for hosts that are evaluated alike."""
    if flake.settings.impure:
        return {host.name: IMPURE for host in hosts}
    now = Comparison(await snapshot_of(flake))
    then = Comparison(await at_revision(flake.folder, since))
    before, after = (_best(setup, flake, hosts, held) for held in (then, now))
    keys = {host.name: flake.key(host.attr) for host in hosts}
    return {
        name: _reason(before.get(key), after.get(key), then, now)
        for name, key in keys.items()
        if not _is_same(before.get(key), after.get(key), then, now)
    }


def _best(
    setup: Setup, flake: Flake, hosts: Sequence[Host], held: Comparison
) -> Mapping[str, Fingerprint]:
    keys = [flake.key(host.attr) for host in hosts]
    store = fingerprints_of(setup.state)
    return store.find(keys, context(flake), held.tree, lambda known: not held.changes(known))


def _is_same(
    before: Fingerprint | None, after: Fingerprint | None, then: Comparison, now: Comparison
) -> bool:
    if before is None or after is None or then.changes(before) or now.changes(after):
        return False
    return before.evaluated == after.evaluated


def _reason(
    before: Fingerprint | None, after: Fingerprint | None, then: Comparison, now: Comparison
) -> str:
    if before is None or after is None:
        return "it was not evaluated before"
    for known in (after, before):
        if changed := now.changes(known):
            return moved(changed, known, now)
    if then.changes(before):
        return "its system at that revision is not known"
    return "its system is another one"


WHOLE_TREE = "its evaluation looks at the tree as a whole"


@dataclass(frozen=True, slots=True)
class Lesson:
    """What came of learning one host.

    Attributes:
        host: The host's name.
        fingerprint: What was learned; ``None`` where nothing was.
        problem: Why not, in words.
        never: Whether the inventory has it so that nothing can be learned, and so is no failure.
        fresh: Whether it was learned now, and not known before.
        of: How many hosts are learned together.
    """

    host: str
    fingerprint: Fingerprint | None
    problem: str = ""
    fresh: bool = True
    never: bool = False
    of: int = 1


async def learn(
    setup: Setup, hosts: Sequence[Host], told: Callable[[Lesson], None], *, again: bool = False
) -> None:
    """Learn hosts, as many at the same time as a deployment would evaluate.

    Args:
        setup: The fleet.
        hosts: The hosts to learn; of many equal ones one is.
        told: Called with what came of each, as they come to their ends.
        again: Learn also what is known already.

    Raises:
        BusyError: Another process is at it.
        StepError: The fleet's tree cannot be told, or an input may change unseen.
    """
    tracer = await find()
    with learning(setup.state):
        async with Source(setup.flake) as source:
            if any(setup.flake.of(host) == setup.flake for host in hosts):
                _check_pins(await source.ground())
            each = _one_of_each(setup, hosts)
            evaluations = Evaluations(source, setup.fleet.limits, setup.state, len(each))
            learner = _Learner(setup, source, evaluations, tracer, again)
            async with together() as tasks:
                for host in each:
                    tasks.create_task(_tell(learner, host, len(each), told))


async def _tell(learner: _Learner, host: Host, many: int, told: Callable[[Lesson], None]) -> None:
    try:
        lesson = await learner.learn(host)
    except StepError as error:
        lesson = Lesson(host.name, None, error.message)
    told(replace(lesson, of=many))


def _one_of_each(setup: Setup, hosts: Sequence[Host]) -> Sequence[Host]:
    """Hosts of different configurations; many equal ones are one, by the name of their class."""
    found = {(setup.flake.of(host), host.attr): host for host in hosts}
    return [replace(host, name=host.of or host.name) for host in found.values()]


def _check_pins(ground: Ground) -> None:
    if ground.loose:
        raise StepError(
            f"flake.lock does not pin {', '.join(ground.loose)}",
            hint="nix flake lock; commit flake.lock",
        )


@dataclass(frozen=True, slots=True)
class _Learner:
    """Learns hosts of one fleet, within the memory and at the number that evaluations may take."""

    setup: Setup
    source: Source
    evaluations: Evaluations
    tracer: Tracer | None
    again: bool

    async def learn(self, host: Host) -> Lesson:
        """Learn one host.

        Raises:
            StepError: It does not evaluate, or was not seen.
        """
        if host.nix.impure:
            return Lesson(host.name, None, IMPURE, never=True)
        ground, flake = await self.source.ground(host), self.setup.flake.of(host)
        _check_pins(ground)
        context(flake)  # raises where something may change unseen
        known = _known(self.setup, flake.key(host.attr), ground)
        learned = known is not None and (known.why_whole != NOT_LEARNED or self.tracer is None)
        if learned and not self.again:
            return Lesson(host.name, known, fresh=False)
        if known is None or self.again:
            evaluated = await self.evaluations.evaluate(Quiet(host))
        else:
            evaluated = known.evaluated
        reads, why = await self._reads(host, flake, ground, evaluated)
        if ground.loose is None or ground.context is None or not still_in(flake, ground):
            return Lesson(host.name, None, "what counts besides the fleet's files is not the same")
        fingerprint = Fingerprint(
            attr=flake.key(host.attr),
            context=ground.context,
            tree=ground.tree,
            reads=reads,
            files=len(ground.tree.entries) if reads is None else files_of(reads, ground.tree),
            evaluated=evaluated,
            run=known.run if known is not None else None,
            at=datetime.now(UTC),
            why_whole=why,
        )
        if not fingerprints_of(self.setup.state).keep((fingerprint,)):
            return Lesson(host.name, None, "the database of fingerprints cannot be written")
        return Lesson(host.name, fingerprint)

    async def _reads(
        self, asked: Host, of: Flake, ground: Ground, evaluated: Evaluated
    ) -> tuple[frozenset[Read] | None, str]:
        """What its evaluation reads, or ``None`` where all counts, and why."""
        if (tracer := self.tracer) is None:
            return None, NOT_LEARNED

        async def traced(asked_as: Configuration) -> Trace:
            return await trace(  # a twin of it is evaluated
                of,
                asked_as.attr,
                ground.copy,
                tracer,
                deadline=3 * asked_as.left,
                expected=evaluated.drv,
                env=asked_as.env,
                on_start=asked_as.on_start,
            )

        watched = await self.evaluations.ask(Quiet(asked), traced)
        if watched.drv != evaluated.drv:
            return None, watched.why or WHOLE_TREE
        if ground.tree.indivisible:
            return None, f"its files cannot be distinguished ({ground.tree.indivisible})"
        return reads_of(watched.accesses, ground.tree), ""


def _known(setup: Setup, key: str, ground: Ground) -> Fingerprint | None:
    """The fingerprint that holds now."""
    if ground.context is None:
        return None
    held = Comparison(ground.tree)

    def holds(fingerprint: Fingerprint) -> bool:
        return not held.changes(fingerprint)

    store = fingerprints_of(setup.state)
    found = store.find((key,), ground.context, ground.tree, holds).get(key)
    return found if found is not None and holds(found) else None
