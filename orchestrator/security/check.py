"""Hold hosts against what they declare: asked once, at rest, and compared on this machine."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.changes.knowledge import KnownSystems
from orchestrator.changes.source import Source
from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.executor import Executor
from orchestrator.core.host import Host
from orchestrator.core.state import HostState
from orchestrator.facts.cache import folder_of
from orchestrator.host.scripts import script
from orchestrator.host.setup import Setup, ask_each
from orchestrator.host.status import ask_state, require_end, require_machine
from orchestrator.nix import verbs as nix
from orchestrator.nix.asker import Quiet
from orchestrator.nix.evaluation import Evaluations
from orchestrator.risk.assess import system_of
from orchestrator.risk.kept import System
from orchestrator.security import kept
from orchestrator.security.evaluate import evaluate
from orchestrator.security.lab_image import base_of
from orchestrator.security.model import Base, Checked, Declared
from orchestrator.security.plan import judge
from orchestrator.security.plan.answer import Seen, parse
from orchestrator.security.question import QUESTION

_SECONDS = 420.0
SAMPLE = 5
"""Paths of the closure whose content is verified, each time others."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a host said of itself: ``state`` is ``None`` where root is not to be had."""

    state: HostState | None
    seen: Seen


async def check_hosts(
    setup: Setup, hosts: Sequence[Host], *, sample: int = SAMPLE
) -> dict[str, Checked | StepError]:
    """Check hosts; what cannot be is its own host's error.

    Args:
        setup: The fleet.
        hosts: Which.
        sample: How many paths of its closure each host verifies.
    """
    answers = await ask_each(setup, hosts, lambda host, way: look(way, host, sample))
    looked = {one.host.name: one.said for one in answers}
    async with Source(setup.flake) as source:
        configurations = _Configurations(setup, hosts, source)

        async def of(host: Host) -> Checked | StepError:
            said = looked[host.name]
            if isinstance(said, StepError):
                return said
            try:
                return await _checked(setup, configurations, host, said)
            except StepError as error:
                return error

        async with asyncio.TaskGroup() as group:
            tasks = {host.name: group.create_task(of(host)) for host in hosts}
        await configurations.known.keep(None)
    return {name: task.result() for name, task in tasks.items()}


async def look(executor: Executor, host: Host, sample: int) -> Looked:
    """Ask one host; where root is not to be had, what everybody may read.

    Raises:
        UnreachableError: The connection was lost.
        RefusedError: It is another machine, or a deployment or a switch goes on there.
        StepError: It did not answer to the end.
    """
    try:
        state = await _state(executor, host)
    except _NoRootError:
        state = None
    if state is not None:
        _require_rest(state)
    argv = script(QUESTION, str(sample))
    done = await executor.run(argv, deadline=_SECONDS, root=state is not None)
    require_end(executor, done, "end\tyes", "what is on it", "/proc/self/fd")
    seen = parse(done.out)
    require_machine(host, seen.word("machine-id"))
    _require_still(seen)
    return Looked(state, seen)


class _NoRootError(Exception):
    """Root is not to be had."""


async def _state(executor: Executor, host: Host) -> HostState:
    try:
        await executor.run(("true",), deadline=host.deadlines.connect)
    except RefusedError:
        raise _NoRootError from None
    return await ask_state(executor, host)


def _require_rest(state: HostState) -> None:
    """Refuse a host that is being changed: everything there is otherwise for a moment.

    Raises:
        RefusedError: It is.
    """
    if state.lock is not None and state.lock.is_live:
        raise RefusedError(
            f"a deployment is at it: {state.lock.in_words(datetime.now(UTC))}",
            hint="a host is checked at rest: try again when that has ended",
        )
    if state.attempt is not None and state.attempt.state.in_flight:
        raise RefusedError(
            f"its guard is at work ({state.attempt.state.value}): it is not at rest",
            hint="see orchestrator status; try again when that has ended",
        )


def _require_still(seen: Seen) -> None:
    """Refuse what was seen while it changed.

    Raises:
        RefusedError: It did.
    """
    state, hint = seen.word("state"), "a host is checked at rest: try again when that has ended"
    if state in ("initializing", "starting", "stopping"):
        raise RefusedError(f"it is {state}", hint=hint)
    if seen.word("switching") == "yes":
        raise RefusedError("somebody switches its configuration", hint=hint)
    if seen.word("system") != seen.word("now"):
        raise RefusedError("its system changed while it was looked at", hint=hint)


class _Configurations:
    """What systems declare: recalled, else evaluated where this checkout makes them."""

    def __init__(self, setup: Setup, hosts: Sequence[Host], source: Source) -> None:
        self.known = KnownSystems(setup, hosts, source)
        self._setup = setup
        self._evaluations = Evaluations(source, setup.fleet.limits, setup.state, len(hosts))

    async def of(self, host: Host, running: System | None) -> tuple[Declared | None, str]:
        """Give what a host's system declares; or why that is not known here."""
        if running is None:
            return None, "it does not say what it runs"
        if (found := kept.recall(self._setup.state, running)) is not None:
            return found, ""
        try:
            nix.require()
            made, _ = await self.known.system(Quiet(host), self._evaluations)
            if made.out != running.out:
                return None, (
                    f"it runs {running.out.short}, and what is checked out here makes "
                    f"{made.out.short}: check out what it was deployed from, or deploy"
                )
            question = functools.partial(evaluate, specialisation=running.specialisation)
            found = await self._evaluations.ask(Quiet(host), question)
        except StepError as error:
            return None, error.message
        kept.keep(self._setup.state, running, found)
        return found, ""


async def _checked(
    setup: Setup, configurations: _Configurations, host: Host, looked: Looked
) -> Checked:
    seen, state = looked.seen, looked.state
    running = system_of(state) if state is not None else None
    declared, why = await configurations.of(host, running)
    base = base_of(setup, host.name, seen)
    return _compared(setup, host, looked, base, declared, why)


def _compared(
    setup: Setup, host: Host, looked: Looked, base: Base, declared: Declared | None, why: str
) -> Checked:
    seen, at = looked.seen, datetime.now(UTC)
    folder = folder_of(setup)
    machine = seen.word("machine-id")
    record = looked.state.record if looked.state is not None else None
    token = record.token if record is not None else ""
    before = kept.last(folder, host.name, machine)
    found = judge.judge(declared or Declared(), seen, base)
    if before is not None:
        found += tuple(judge.changed_sums(before.sums, seen, deployed=before.token != token))
    found = judge.dated(found, before.since if before else {}, at)
    found, expired = judge.accept(found, host.accept_findings, at.date())
    since = {one.id: one.since or at for one in found}
    check = kept.LastCheck(machine, at, token, since, dict(seen.pairs("sum")))
    return Checked(
        at,
        machine,
        seen.word("system"),
        found,
        "configuration" if declared is not None else "closure",
        why,
        before.at if before else None,
        tuple(sorted(before.since.keys() - since.keys())) if before else (),
        judge.unseen(seen),
        expired,
        kept.remember(folder, host.name, check),
    )
