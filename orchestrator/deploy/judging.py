"""A host's risk against its policy, before anything is built for it; in a plan, told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import assert_never

from orchestrator.core.changed import Note
from orchestrator.core.errors import OrchestratorError, RefusedError, StepError
from orchestrator.core.host import Host
from orchestrator.core.outcome import Deployed, Outcome
from orchestrator.core.plan import HostPlan
from orchestrator.core.risk import RiskChange
from orchestrator.core.state import HostState
from orchestrator.core.values import replace
from orchestrator.deploy.said import origins
from orchestrator.deploy.work import HostWork
from orchestrator.inventory.tree import Position
from orchestrator.risk.assess import assess, recalled, system_of
from orchestrator.risk.kept import System
from orchestrator.risk.plan import score
from orchestrator.risk.plan.policy import Exceeded, Policy, Tolerated, Within, judge

POLICY = "risk"
"""The step of whoever is refused, and the check's name in reports."""


async def judge_risk(work: HostWork, plan: HostPlan, state: HostState | None) -> None:
    """Hold the risk of what a host is to run against the inventory's policy.

    In a plan it is told, also where there is no policy; what is not known then refuses nothing.

    Raises:
        RefusedError: It is more than the policy has it, or not known, and nobody accepted that.
    """
    most, emergency = work.host.max_risk, work.session.request.emergency is not None
    running = system_of(state) if state is not None else None
    live, *boots = _systems(plan, state)
    try:
        work.risk = change = await _change(work, live, running)
        # What a boot brings counts for the policy alone.
        booted = running and System(running.out)
        later = [await _change(work, one, booted) for one in boots if most is not None]
    except StepError as error:
        if most is None or emergency:
            text = f"its risk is not known: {error.message}"
            work.notice(text, warning=most is not None)
            work.accepted = (text,) if most is not None else ()
            return
        raise _unknown(work.host, error) from error
    if work.session.request.plan_only and state is None:
        work.notice(str(change))
    if most is not None:
        await _hold_against(work, change, emergency=emergency)
    for one in later:
        await _hold_against(work, one, emergency=emergency, of="its next boot: ")


def _systems(plan: HostPlan, state: HostState | None) -> tuple[System, ...]:
    """What the host is to run; and what a boot brings, where that is not the same."""
    alone = System(plan.target.out)
    if not plan.goal.activates:
        return (alone,)
    live = plan.specialisation if state is not None else plan.specialise.of("")
    variant = System(plan.target.out, live)
    return (variant, alone) if live and plan.goal.commits else (variant,)


async def _hold_against(
    work: HostWork, change: RiskChange, *, emergency: bool, of: str = ""
) -> None:
    policy = Policy(work.host.max_risk or change.after, work.host.accept_risk)
    today = datetime.now(UTC).date()
    if isinstance(judge(work.host.name, change, policy, today), Within):
        return
    # Only now it counts where that is said: the inventory's text is read once more.
    judged = judge(work.host.name, change, await _placed(work, policy), today)
    match judged:
        case Within():
            return
        case Tolerated(text=text):
            text = f"{of}{text}"
        case Exceeded(text=text) if emergency:
            text = f"{of}{text}; an emergency goes on all the same"
        case Exceeded(text=text, hint=hint):
            error = RefusedError(f"{of}{text}", hint=hint, checks=(POLICY,))
            error.step = POLICY
            raise error
        case _:
            assert_never(judged)
    work.accepted += (text,)
    work.notice(text, warning=True)


async def _change(work: HostWork, wanted: System, running: System | None) -> RiskChange:
    """Assess; a system that was given may not be what the configuration of today makes.

    Raises:
        StepError: It does not evaluate; or it was given, was never assessed here, and is another.
    """
    session = work.session
    if work.host.name not in session.request.systems:
        return await assess(session.setup, session.evaluations, work, wanted, running)
    if (after := recalled(session.setup, wanted)) is not None:
        return score.change(recalled(session.setup, running) if running else None, after)
    today, _ = await session.known.system(work, session.evaluations)
    if today.out != wanted.out:
        raise StepError("its system is given, and was never assessed on this machine")
    return await assess(session.setup, session.evaluations, work, wanted, running)


async def _placed(work: HostWork, policy: Policy) -> Policy:
    """Find the lines that say a policy; without them it holds all the same."""
    try:
        said = await origins(work)
    except OrchestratorError:
        return policy
    places = ((one.key, one.origin.place) for one in said)
    at = {key: str(Position(it.file, it.line)) for key, it in places if it is not None}
    return Policy(
        policy.most, policy.accepted, at.get("max_risk", ""), at.get("accept_risk.level", "")
    )


def _unknown(host: Host, error: StepError) -> RefusedError:
    assert host.max_risk is not None
    refused = RefusedError(
        f"its risk is not known, and max_risk is {host.max_risk.value}: {error.message}",
        hint=error.hint or f"see what does not evaluate: orchestrator risk {host.name}",
        command=error.command,
        stderr=error.stderr,
        checks=(POLICY,),
    )
    refused.step = POLICY
    return refused


def with_risk(work: HostWork, outcome: Outcome) -> Outcome:
    """Put into an outcome what the risk became, and what was accepted: the history has it."""
    if not isinstance(outcome, Deployed):
        return outcome
    told = outcome.foreseen
    if told is not None and work.risk is not None:
        told = replace(told, notes=(*told.notes, Note("risk", work.risk.sentence)))
    warnings = (*work.accepted, *outcome.warnings)
    return replace(outcome, risk=work.risk, warnings=warnings, foreseen=told)
