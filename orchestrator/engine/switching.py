"""A system that must not be switched to live is registered for the next boot instead."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.adapters.host.reboot import ask_parts
from orchestrator.adapters.host.switching import ask_inhibitors
from orchestrator.engine.line import SHORT_SECONDS, Line
from orchestrator.engine.work import HostWork
from orchestrator.errors import RefusedError, StepError
from orchestrator.model.event import Phase
from orchestrator.model.goal import Goal
from orchestrator.model.outcome import Deployed
from orchestrator.model.plan import HostPlan
from orchestrator.plan.decide import steps
from orchestrator.plan.reboot import PARTS, needs_boot
from orchestrator.plan.switching import inhibitors


async def live_or_booted(
    work: HostWork, plan: HostPlan, line: Line
) -> tuple[HostPlan, tuple[str, ...]]:
    """Find whether NixOS lets a host switch live, once it has the target.

    Returns:
        The plan as it can be carried out: a switch that NixOS would refuse becomes ``boot``. And
        the components that keep it from being live.

    Raises:
        RefusedError: The goal is ``test``, which knows no boot.
        StepError: The host did not say.
    """
    if not plan.goal.activates:
        return plan, ()
    with work.step(Phase.ASK):
        changed = inhibitors(
            *await line.ask(
                lambda executor: ask_inhibitors(executor, plan.target.out, SHORT_SECONDS)
            )
        )
    if not changed:
        return plan, ()
    if not plan.goal.commits:
        raise RefusedError(
            f"NixOS does not switch to it live: {'; '.join(changed)}",
            hint="make it the boot default, then boot it: --goal boot --reboot",
        )
    work.notice(f"not switched to live, but registered for the next boot: {'; '.join(changed)}")
    return replace(plan, goal=Goal.BOOT, steps=steps(Goal.BOOT), return_to=None), changed


async def until_booted(
    work: HostWork, outcome: Deployed, changed: tuple[str, ...], line: Line
) -> Deployed:
    """Say what of a host's new system takes effect at its next boot only."""
    try:
        with work.step(Phase.PROVE):
            parts = needs_boot(
                *await line.ask(
                    lambda executor: ask_parts(executor, outcome.out_path, PARTS, SHORT_SECONDS)
                )
            )
    except StepError as error:
        work.log(error.message)
        parts = ()
    return replace(outcome, reboot_required=(*changed, *parts))


def told(outcome: Deployed) -> Deployed:
    """Warn of what takes effect at the next boot only, where the host was not booted since."""
    if not outcome.reboot_required:
        return outcome
    what = ", ".join(outcome.reboot_required)
    return replace(outcome, warnings=(*outcome.warnings, f"reboot required: {what}"))
