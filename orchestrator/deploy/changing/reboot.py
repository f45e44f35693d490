"""Boot a host anew where that is wanted, and would change anything."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace

from orchestrator.core.errors import StepError
from orchestrator.core.event import Phase
from orchestrator.core.executor import Executor
from orchestrator.core.outcome import Deployed, Failed, Outcome, Unchanged
from orchestrator.core.run import Reboot
from orchestrator.core.state import HostState
from orchestrator.core.store import OutPath
from orchestrator.deploy.changing.booting import Boot, failed_boot
from orchestrator.deploy.changing.line import SHORT_SECONDS, Line
from orchestrator.deploy.changing.lock import held, refuse_if_taken
from orchestrator.deploy.identity import set_apart
from orchestrator.deploy.plan.reboot import PARTS, needs_boot
from orchestrator.deploy.work import HostWork
from orchestrator.host import reboot as on_host
from orchestrator.host.state import ask_state
from orchestrator.ssh.local import is_this_machine


async def reboot(work: HostWork, outcome: Deployed, line: Line) -> Deployed | Failed:
    """Boot a host anew that was deployed, where the request wants it and it would change anything.

    Args:
        work: The host's share of the run; its lock is held.
        outcome: How that ended.
        line: The way to the host.
    """
    if not work.session.request.reboots:
        return outcome
    try:
        why = await _why(work, line, outcome.out_path, outcome.reboot_required)
    except StepError as error:
        return failed_boot(error, outcome.out_path, "it was deployed, and not booted anew")
    if why is None:
        return outcome
    if is_this_machine(work.host):
        return replace(outcome, warnings=(*outcome.warnings, _not_this_machine(why)))
    if work.session.interrupt.wished:
        return replace(
            outcome, warnings=(*outcome.warnings, f"not booted anew ({why}): interrupted")
        )
    return await Boot(work, line, outcome, why).run()


async def reboot_unchanged(
    work: HostWork,
    unchanged: Unchanged,
    state: HostState,
    executor: Executor,
    stack: AsyncExitStack,
) -> Outcome:
    """Boot a host anew that is at its target, where the request wants it.

    Raises:
        StepError: Somebody else has the host, or a hold forbids it.
    """
    line = Line(work, executor, stack)
    why = await _why(work, line, unchanged.out_path)
    if why is None:
        return unchanged
    if is_this_machine(work.host):
        work.notice(_not_this_machine(why), warning=True)
        return unchanged
    outcome = Deployed(unchanged.reason, unchanged.out_path, work.session.request.goal)
    refuse_if_taken(work, state)
    if work.session.request.plan_only:
        return replace(outcome, reason=f"{unchanged.reason}; to be booted anew ({why})")
    await work.session.rollout.turn(work)
    async with held(work, line) as holding:
        await holding.last_look()
        await set_apart(work, state)
        return await Boot(work, line, outcome, why).run()


async def _why(
    work: HostWork, line: Line, target: OutPath, known: tuple[str, ...] = ()
) -> str | None:
    """Say why a boot is wanted, or ``None`` where it is not.

    Args:
        work: The host's share of the run.
        line: The way to the host.
        target: The system to be booted.
        known: What is known already to take effect at the next boot only.

    Raises:
        StepError: The host did not say what it booted.
    """
    match work.session.request.reboot:
        case Reboot.NEVER:
            return None
        case Reboot.ALWAYS:
            return "as was asked for"
        case Reboot.IF_NEEDED if known:
            return f"new {', '.join(known)}"
        case Reboot.IF_NEEDED:
            return await _need(work, line, target)


async def _need(work: HostWork, line: Line, target: OutPath) -> str | None:
    with work.step(Phase.ASK):
        state = await line.ask(lambda executor: ask_state(executor, work.host))
        if state.running != target:
            return "it runs another system"
        booted, wanted = await line.ask(
            lambda executor: on_host.ask_parts(executor, target, PARTS, SHORT_SECONDS)
        )
    parts = needs_boot(booted, wanted)
    work.log(f"a boot is needed for: {', '.join(parts) or 'nothing'}")
    return f"new {', '.join(parts)}" if parts else None


def _not_this_machine(why: str) -> str:
    return f"not booted anew ({why}): it is the machine that you sit on"
