"""A system that must not be switched to live is registered for the next boot instead."""

from __future__ import annotations

from dataclasses import dataclass, replace

from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.event import Phase
from orchestrator.core.goal import Goal
from orchestrator.core.outcome import Deployed
from orchestrator.core.plan import HostPlan
from orchestrator.deploy.changing.line import SHORT_SECONDS, Line
from orchestrator.deploy.plan.decide import steps
from orchestrator.deploy.plan.reboot import PARTS, needs_boot
from orchestrator.deploy.plan.switching import inhibitors
from orchestrator.deploy.work import HostWork
from orchestrator.host.switching import Standing, ask_standing


@dataclass(frozen=True, slots=True)
class Going:
    """How a host comes to its target.

    Attributes:
        plan: As it can be carried out: a switch that NixOS would refuse is a ``boot``.
        boots: What takes effect at the next boot only, in words.
    """

    plan: HostPlan
    boots: tuple[str, ...]


async def live_or_booted(work: HostWork, plan: HostPlan, line: Line) -> Going:
    """Find whether NixOS lets a host switch live, once it has the target.

    Raises:
        RefusedError: It does not, and the goal is ``test``, which knows no boot.
        StepError: The host did not say.
    """
    with work.step(Phase.PREFLIGHT):
        found = await _ask(line, plan)
        changed = inhibitors(found.running, found.target) if plan.goal.activates else ()
        if changed and not plan.goal.commits:
            raise RefusedError(
                f"NixOS does not switch to it live: {'; '.join(changed)}",
                hint="make it the boot default, then boot it: --goal boot --reboot",
            )
    parts = needs_boot(found.booted, found.wanted)
    if not changed:
        return Going(plan, parts)
    work.notice(f"not switched to live, but registered for the next boot: {'; '.join(changed)}")
    booted = replace(plan, goal=Goal.BOOT, steps=steps(Goal.BOOT), return_to=None)
    return Going(booted, (*changed, *parts))


async def needing_boot(work: HostWork, ended: Deployed, plan: HostPlan, line: Line) -> Deployed:
    """Find what of a system that is there already takes effect at the next boot only."""
    try:
        found = await _ask(line, plan)
    except StepError as error:
        work.notice(f"whether it is to be booted is not known: {error.message}", warning=True)
        return ended
    return replace(ended, reboot_required=needs_boot(found.booted, found.wanted))


async def _ask(line: Line, plan: HostPlan) -> Standing:
    out = plan.target.out
    return await line.ask(lambda executor: ask_standing(executor, out, PARTS, SHORT_SECONDS))


def told(outcome: Deployed) -> Deployed:
    """Warn of what takes effect at the next boot only, where the host was not booted since."""
    if not outcome.reboot_required:
        return outcome
    what = ", ".join(outcome.reboot_required)
    return replace(outcome, warnings=(*outcome.warnings, f"reboot required: {what}"))
