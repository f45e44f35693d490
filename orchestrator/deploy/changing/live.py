"""May a host that has its next system go live with it, or has it to boot."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.changed import ClosureChange
from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.event import Phase
from orchestrator.core.outcome import Deployed
from orchestrator.core.plan import Goal, HostPlan
from orchestrator.core.values import replace
from orchestrator.deploy.changing import specialisation
from orchestrator.deploy.changing.changed import summed_up
from orchestrator.deploy.changing.session import SHORT_SECONDS, HostSession
from orchestrator.deploy.plan.decide import PARTS, inhibitors, steps
from orchestrator.deploy.work import HostWork
from orchestrator.host.boot import SwitchInfo, ask_standing


@dataclass(frozen=True, slots=True)
class SwitchPlan:
    """How a host comes to its target.

    Attributes:
        plan: As it can be carried out: a switch that NixOS would refuse is a ``boot``; the
            specialisation to run is one that the target has.
        boots: What takes effect at the next boot only, in words.
        closure: What changes in the host's closure; ``None`` where the host did not say.
    """

    plan: HostPlan
    boots: tuple[str, ...]
    closure: ClosureChange | None = None


async def live_or_booted(work: HostWork, plan: HostPlan, line: HostSession) -> SwitchPlan:
    """Find whether NixOS lets a host switch live, once it has the target.

    Raises:
        RefusedError: It does not, and the goal is ``test``, which knows no boot.
        StepError: The host did not say.
    """
    with work.step(Phase.PREFLIGHT):
        found = await _ask(line, plan)
        plan = specialisation.take(plan, found.live, found.has)
        changed = inhibitors(found.running, found.target) if plan.goal.activates else ()
        if changed and not plan.goal.commits:
            raise RefusedError(
                f"NixOS does not switch to it live: {'; '.join(changed)}",
                hint="make it the boot default, then boot it: --goal boot --reboot",
            )
    parts = await specialisation.boot_parts(line, plan, found)
    closure = None if found.difference is None else summed_up(found.difference)
    if not changed:
        return SwitchPlan(plan, parts, closure)
    work.notice(f"cannot switch live; set as boot default: {'; '.join(changed)}")
    booted = replace(plan, goal=Goal.BOOT, steps=steps(Goal.BOOT), return_to=None)
    return SwitchPlan(booted, (*changed, *parts), closure)


async def needing_boot(
    work: HostWork, ended: Deployed, plan: HostPlan, line: HostSession
) -> Deployed:
    """Find what of a system that is there already takes effect at the next boot only."""
    try:
        parts = await specialisation.boot_parts(line, plan, await _ask(line, plan))
    except StepError as error:
        work.notice(f"whether it is to be booted is not known: {error.message}", warning=True)
        return ended
    return replace(ended, reboot_required=parts)


async def _ask(line: HostSession, plan: HostPlan) -> SwitchInfo:
    out, name = plan.target.out, plan.specialisation
    return await line.ask(lambda executor: ask_standing(executor, out, PARTS, SHORT_SECONDS, name))


def told(outcome: Deployed) -> Deployed:
    """Warn of what takes effect at the next boot only, where the host was not booted since."""
    if not outcome.reboot_required:
        return outcome
    warning = f"reboot required: {', '.join(outcome.reboot_required)}"
    return replace(outcome, warnings=(*outcome.warnings, warning))
