"""A host that does not answer, and what waits for it."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from orchestrator.core.errors import StepError, UnreachableError
from orchestrator.core.host import BuildOn, WhenUnreachable
from orchestrator.core.outcome import (
    Deferred,
    Deployed,
    Failed,
    Outcome,
    RolledBack,
    Skipped,
    Unchanged,
)
from orchestrator.core.plan import HostPlan
from orchestrator.core.state import HostState
from orchestrator.core.store import Evaluated
from orchestrator.core.units import ago
from orchestrator.deploy.work import HostWork, problem_of
from orchestrator.nix import verbs as nix
from orchestrator.runs.store import Runs

if TYPE_CHECKING:
    from orchestrator.runs.pending import Pending, PendingSystems

UNTOUCHED = frozenset({"wait", "connect", "lock", "preflight", "copy"})
"""Steps whose failure may pass by itself: the network's, another deployer's, a full disk's."""


def overtaken(work: HostWork, state: HostState | None) -> Unchanged | None:
    """Find whether what a catch-up brings is wanted no more, now that the host has answered."""
    if state is None or not is_caught_up(work):
        return None
    pending = pending_of(work)
    entry = pending.of(work.host.name)
    out = state.running or work.session.request.systems[work.host.name].out
    if entry is None:
        return Unchanged("nothing waits for it any more", out)
    if not entry.is_overtaken(state):
        return None
    pending.drop(entry)
    assert state.record is not None
    record, now = state.record, datetime.now(UTC)
    return Unchanged(
        f"what waited for it is superseded: run {record.run} of {record.who} deployed it "
        f"{ago(record.at, now)}, and what waited is of {ago(entry.since, now)}",
        out,
    )


def settle(work: HostWork, outcome: Outcome) -> None:
    """Note what a host's end means for the system that waits for it, where one does."""
    request = work.session.request
    # Nearly always nothing waits: then nothing is imported for it.
    file = work.session.setup.state / "pending" / f"{work.host.name}.json"
    if request.plan_only or not request.goal.commits or not file.exists():
        return
    pending = pending_of(work)
    entry = pending.of(work.host.name)
    if entry is None:
        return
    try:
        match outcome:
            case Deployed(out_path=out) | Unchanged(out_path=out):
                if entry.is_superseded_by(work.session.run, request, out):
                    pending.drop(entry)
            case Failed() | RolledBack() if request.catch_up and not _stopped(work):
                _note_failure(pending, entry, outcome)
            case _:
                return
    except StepError as error:
        work.notice(error.message, warning=True)


def withdraw(work: HostWork, why: str) -> Skipped:
    """Drop what this run has wait for a host: the run's systems are not wanted any more.

    Args:
        work: The share of the run of a host that was deferred.
        why: For a person.
    """
    pending = pending_of(work)
    entry, run = pending.of(work.host.name), work.session.run
    try:
        if entry is not None and (entry.run, entry.who) == (run.number, run.who):
            pending.drop(entry)
    except StepError as error:
        return Skipped(f"unreachable; what waits for it could not be dropped: {error.message}")
    return Skipped(f"unreachable; what was to wait for it is dropped: {why}")


def _stopped(work: HostWork) -> bool:
    """Whether a person ended the run: then it may be no fault of the system's."""
    return work.session.interrupt.wished


def _note_failure(pending: PendingSystems, entry: Pending, outcome: Failed | RolledBack) -> None:
    passes = outcome.problem.refused or outcome.problem.step in UNTOUCHED
    pending.change(
        entry,
        tries=entry.tries + 1,
        last_try=datetime.now(UTC),
        problem=None if passes and isinstance(outcome, Failed) else outcome.reason,
    )


def is_caught_up(work: HostWork) -> bool:
    """Whether the host is to get the very system that waits for it."""
    request = work.session.request
    return request.catch_up and work.host.name in request.systems


def pending_of(work: HostWork) -> PendingSystems:
    """The fleet's systems that wait; what is wrong with a file is told as a warning."""
    from orchestrator.runs.pending import PendingSystems

    return PendingSystems(work.session.setup.state, lambda text: work.notice(text, warning=True))


T = TypeVar("T")

_BEFORE_CHANGE = UNTOUCHED | {"build"}


class NoAnswer(Struct, frozen=True):
    """No answer, from a host that is waited for."""

    error: UnreachableError


def defers(work: HostWork) -> bool:
    """Whether a host that does not answer is waited for.

    Not for goals that leave nothing behind, which somebody watches; nor in an emergency.
    """
    request = work.session.request
    if request.emergency is not None or not request.goal.commits:
        return False
    return (request.unreachable or work.host.unreachable) is WhenUnreachable.DEFER


async def or_no_answer(work: HostWork, asking: Awaitable[T]) -> T | NoAnswer:
    """Await an answer, or find that there is none, where its system is built all the same.

    Raises:
        UnreachableError: There is none, and the host should answer.
        StepError: The host answered, and refused the login or showed another key.
    """
    try:
        return await asking
    except UnreachableError as error:
        request = work.session.request
        if not (defers(work) or request.all_must_build or request.plan_only):
            raise
        return NoAnswer(error)


async def or_unreachable(work: HostWork, carrying: Awaitable[T]) -> T | NoAnswer:
    """Await a plan's being carried out, or find that the host is gone and was not changed.

    What breaks then has many names, and a builder may be what is lost: so the host is asked once.

    Raises:
        StepError: A step failed, and the host answers; or it should have.
    """
    try:
        return await carrying
    except StepError as error:
        gone = isinstance(error, UnreachableError) or error.step in UNTOUCHED
        if not (gone and error.step in _BEFORE_CHANGE and defers(work)):
            raise
        try:
            async with AsyncExitStack() as stack:
                await work.connect(stack)
        except UnreachableError as error:
            return NoAnswer(error)
        raise


async def defer(work: HostWork, plan: HostPlan, no_answer: NoAnswer) -> Deferred | Failed:
    """Build what should run on an unreachable host, and have it wait.

    In a plan: say what would be built, although nobody knows what the host runs.

    Raises:
        UnreachableError: The host should have answered. Where all must build, its system is built
            before that is said.
        StepError: The build failed, or what waits could not be written down.
    """
    assert isinstance(plan.target, Evaluated)
    all_built = work.session.all_built
    if not defers(work):
        await _build_anyway(work, plan)
        await all_built.wait(work)
        if work.session.request.plan_only:
            return _planned(no_answer.error, plan.target)
        raise no_answer.error
    reason = f"unreachable: {no_answer.error.message}{_last_seen(work)}"
    if work.session.request.plan_only:
        await all_built.wait(work)
        return Deferred(f"{reason}; its system would wait for it", plan.target.out)
    if is_caught_up(work):
        return _still_absent(work, reason, plan.target)
    await (_build_anyway if work.session.request.all_must_build else _build)(work, plan)
    await all_built.wait(work)
    # What is not to be had by hosts of its wave yet, or never, is not delivered to it either.
    await work.session.rollout.turn(work)
    entry = await _entry(work, plan.target, no_answer.error.message)
    pending = pending_of(work)
    pending.put(entry)
    try:
        await _keep(work, pending, plan.target)
    except BaseException:  # an interruption too: what is not told to wait does not
        pending.drop(entry)
        raise
    until = f"{entry.expires.astimezone():%Y-%m-%d %H:%M}"
    return Deferred(f"{reason}; its system waits for it until {until}", plan.target.out)


def _planned(error: UnreachableError, wanted: Evaluated) -> Failed:
    """What a plan says of a host that does not answer: its system is known all the same."""
    built = "is built here already" if nix.is_here(wanted.out) else "would be built"
    reason = f"{error.message}; its system {wanted.out.short} {built}"
    return Failed(reason, problem_of(error), wanted.out)


def _still_absent(work: HostWork, reason: str, wanted: Evaluated) -> Deferred:
    pending = pending_of(work)
    entry = pending.of(work.host.name)
    if entry is None:
        return Deferred(reason, wanted.out)
    pending.change(entry, tries=entry.tries + 1, last_try=datetime.now(UTC))
    until = f"{entry.expires.astimezone():%Y-%m-%d %H:%M}"
    return Deferred(f"{reason}; its system of run {entry.run} waits until {until}", wanted.out)


async def _entry(work: HostWork, wanted: Evaluated, reason: str) -> Pending:
    from orchestrator.runs.pending import Pending

    revision = await work.revision()
    run, request, now = work.session.run, work.session.request, datetime.now(UTC)
    return Pending(
        host=work.host.name,
        system=wanted,
        run=run.number,
        who=run.who,
        revision=revision,
        reason=reason,
        since=now,
        expires=now + timedelta(seconds=work.host.pending_expiry),
        goal=request.goal,
        verify=request.verify,
        skip_preflight=request.skip_preflight,
        reboot=request.reboot,
        specialisation=request.specialisation,
    )


async def _build(work: HostWork, plan: HostPlan) -> None:
    """Build, unless the unreachable host itself is where it is built."""
    from orchestrator.deploy.delivering.delivery import build

    site = work.session.request.build or work.host.build
    if site.on is not BuildOn.TARGET:
        await build(work, plan, None)


async def _build_anyway(work: HostWork, plan: HostPlan) -> None:
    """Build where all must build, unless it is a plan.

    Raises:
        UnreachableError: The host itself is where it is built: nobody knows whether it does.
        StepError: The build failed.
    """
    if work.session.request.plan_only:
        return
    site = work.session.request.build or work.host.build
    if site.on is BuildOn.TARGET:
        raise UnreachableError(
            "it does not answer, and builds its own system, which all must (--all-must-build)",
            hint=f"build it here (--build-on here), or leave {work.host.name} out",
        )
    await _build(work, plan)


async def _keep(work: HostWork, pending: PendingSystems, wanted: Evaluated) -> None:
    """Keep what waits from garbage collection: the system, or what it is built from."""
    builds, root = work.session.builds, pending.root(work.host.name)
    if not await builds.keep(wanted, root):
        await builds.keep_unbuilt(wanted, root)


def _last_seen(work: HostWork) -> str:
    seen = Runs(work.session.setup.state).last_reached(work.host.name)
    return f"; last seen {ago(seen, datetime.now(UTC))}" if seen else ""
