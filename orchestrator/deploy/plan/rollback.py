"""Decide which system a host goes back to, and how."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.generation import (
    BeforeLast,
    BeforeRun,
    HostSystems,
    ToGeneration,
    ToSystem,
    WayBack,
)
from orchestrator.core.host import Host
from orchestrator.core.outcome import Unchanged
from orchestrator.core.plan import Goal, HostPlan, Step
from orchestrator.core.specialisation import Specialise, SpecialisePolicy
from orchestrator.core.state import AttemptState, HostState
from orchestrator.core.store import Existing, OutPath
from orchestrator.core.values import replace
from orchestrator.deploy.plan.decide import decide


def target_of(way: WayBack, host: Host, known: HostSystems) -> tuple[OutPath, str]:
    """Find the system that a host goes back to.

    Args:
        way: What a person asked for.
        host: The host.
        known: What the host says of its systems.

    Returns:
        The system, and which one it is, in words.

    Raises:
        RefusedError: There is no such system.
    """
    match way:
        case ToSystem(system):
            return system, "the system that was named"
        case ToGeneration(number):
            return _generation(number, host, known), f"generation {number}"
        case BeforeRun():
            return _before_run(way, host, known)
        case BeforeLast():
            return _before_last(host, known)
        case _:
            assert_never(way)


def plan_back(
    host: Host,
    to: OutPath,
    state: HostState,
    *,
    now: datetime,
    verify: bool = True,
    copy: bool = False,
    specialisation: str = "",
) -> Unchanged | HostPlan:
    """Plan a deployment of a system that is there: there is nothing to evaluate or build.

    Args:
        host: The host.
        to: The system to go back to.
        state: What the host says of itself.
        now: For saying how long ago the host was deployed.
        verify: Whether verification is wanted.
        copy: Whether the host has the system no more, and it is copied from here.
        specialisation: The name of the one of ``to`` that is to run; empty for itself.
    """
    which = Specialise.NAMED if specialisation else Specialise.NONE
    policy = SpecialisePolicy(which, specialisation)
    plan = decide(host, Goal.SWITCH, Existing(to), state, now=now, verify=verify, specialise=policy)
    if isinstance(plan, Unchanged):
        return plan
    left_out = {Step.BUILD} if copy else {Step.BUILD, Step.COPY}
    return replace(plan, steps=tuple(step for step in plan.steps if step not in left_out))


def _generation(number: int, host: Host, known: HostSystems) -> OutPath:
    for generation in known.generations:
        if generation.number == number and generation.system is not None:
            return generation.system
    raise _nothing(f"there is no generation {number}", host)


def _before_run(way: BeforeRun, host: Host, known: HostSystems) -> tuple[OutPath, str]:
    """By the history, or else by what the host itself recorded of that run."""
    words = f"what it ran before run {way.run}"
    of_run = (way.run, way.who)
    if (system := way.systems.get(host.name)) is not None:
        last = known.committed
        if last is not None and (last.run, last.who) != of_run:
            words += f"; since then run {last.run} by {last.who} deployed it"
        return system, words
    for attempt in (known.last, known.committed):
        ran = None if attempt is None else known.came_from(attempt)
        if ran is not None and attempt and (attempt.run, attempt.who) == of_run:
            return ran, f"{words}, as the host recorded it"
    raise _nothing(f"neither the history nor the host says {words}", host)


def _before_last(host: Host, known: HostSystems) -> tuple[OutPath, str]:
    attempt = known.last
    if attempt is None:
        raise _nothing("the host has no record of a deployment", host)
    run = f"run {attempt.run} by {attempt.who}"
    if (system := known.came_from(attempt)) is None:
        raise _nothing(f"the host's record does not say what it ran before {run}", host)
    if system == attempt.activated:
        raise _nothing(f"{run} deployed what it ran already", host)
    which = f"what it {'ran' if system == attempt.before.running else 'booted'} before {run}"
    if attempt.state is AttemptState.RETURNED:
        which += f", which was rolled back{_further(known)}"
    return system, which


def _further(known: HostSystems) -> str:
    """How to go behind the last deployment that stands."""
    if known.committed is None or (system := known.came_from(known.committed)) is None:
        return ""
    return f"; before run {known.committed.run}: --to {known.number_of(system) or system}"


def _nothing(why: str, host: Host) -> StepError:
    return RefusedError(
        f"no rollback target: {why}",
        hint=f"orchestrator host generations {host.name} lists what is there; name one with --to",
    )
