"""Which specialisation of its new system a host is to run: found here, found there, said."""

from __future__ import annotations

from orchestrator.core.event import Phase
from orchestrator.core.executor import Executor
from orchestrator.core.outcome import Deployed
from orchestrator.core.plan import HostPlan
from orchestrator.core.state import HostState
from orchestrator.core.store import OutPath
from orchestrator.core.values import replace
from orchestrator.deploy.changing.session import SHORT_SECONDS, HostSession
from orchestrator.deploy.plan.decide import PARTS, needs_boot, without_specialisation
from orchestrator.deploy.work import HostWork
from orchestrator.host.boot import SwitchInfo, ask_parts, ask_variant
from orchestrator.host.specialisations import specialisation_here, specialisations_here


def found_here(plan: HostPlan) -> HostPlan:
    """Find whether the target has the specialisation, where it is in the store of this machine.

    Raises:
        RefusedError: It has not, and it was asked for by its name.
    """
    if not plan.specialisation:
        return plan
    has = specialisations_here(plan.target.out)
    if has is None:
        return plan
    if plan.specialisation not in has:
        return without_specialisation(plan, has)
    return replace(plan, live=specialisation_here(plan.target.out, plan.specialisation))


async def find_there(plan: HostPlan, executor: Executor) -> HostPlan:
    """Ask a host that has the target whether that has the specialisation.

    Raises:
        RefusedError: It has not, and it was asked for by its name.
        StepError: The host did not say.
    """
    if not plan.specialisation:
        return plan
    name = plan.specialisation
    return take(plan, *await ask_variant(executor, plan.target.out, name, SHORT_SECONDS))


async def find_on(work: HostWork, plan: HostPlan, line: HostSession) -> HostPlan:
    """As :func:`find_there`, over a host's session."""
    if not plan.specialisation:
        return plan
    with work.step(Phase.PREFLIGHT):
        return await line.ask(lambda executor: find_there(plan, executor))


def take(plan: HostPlan, live: OutPath | None, has: tuple[str, ...]) -> HostPlan:
    """Put into a plan what its specialisation is on the host, which has the target by now.

    Args:
        plan: The plan.
        live: The specialisation; ``None`` where the target has none of that name.
        has: Those that it has.

    Raises:
        RefusedError: The target has none of that name, and it was asked for by its name.
    """
    if not plan.specialisation:
        return plan
    if live is None:
        return without_specialisation(plan, has)
    return replace(plan, live=live)


async def boot_parts(line: HostSession, plan: HostPlan, found: SwitchInfo) -> tuple[str, ...]:
    """Find which parts of the target, or of its specialisation, take effect at a boot only.

    Raises:
        StepError: The host did not say.
    """
    if found.live is None:
        return needs_boot(found.booted, found.wanted)
    out = plan.target.out
    booted, own = await line.ask(lambda executor: ask_parts(executor, out, PARTS, SHORT_SECONDS))
    return needs_boot(booted, own, found.wanted)


def warn(work: HostWork, plan: HostPlan, state: HostState) -> tuple[str, ...]:
    """Say now what a plan switches away; where it is made the boot default only, a boot does so.

    Returns:
        The same, for the outcome.
    """
    warnings = plan.warnings
    if plan.goal is not work.session.request.goal and not plan.goal.activates:
        warnings = tuple(f"at the next boot: {text}" for text in warnings)
        if name := state.specialisation:
            warnings += (f"its specialisation {name!r} runs until the next boot only",)
    for text in warnings:
        work.notice(text, warning=True)
    return warnings


def in_reason(ended: Deployed) -> Deployed:
    """Name in an outcome's reason the specialisation that the host runs now."""
    if not ended.specialisation:
        return ended
    return replace(ended, reason=f"{ended.reason}{_runs(ended.specialisation)}")


def left_by_boot(reason: str, name: str) -> str:
    """Take out of a reason what :func:`in_reason` said, which holds no more after a boot."""
    return reason.replace(_runs(name), "")


def _runs(name: str) -> str:
    return f"; it runs specialisation {name!r}"


def foreseen(plan: HostPlan) -> str:
    """Say in a plan which specialisation the host is to run, as far as that is known."""
    if not plan.specialisation:
        return ""
    known = "" if plan.live is not None else ", if the new system has it"
    return f"; it is to run specialisation {plan.specialisation!r}{known}"
