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
    try:
        work.risk = change = await _change(work, plan, state)
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


async def _hold_against(work: HostWork, change: RiskChange, *, emergency: bool) -> None:
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
            work.accepted = (text,)
        case Exceeded(text=text) if emergency:
            work.accepted = (f"{text}; an emergency goes on all the same",)
        case Exceeded(text=text, hint=hint):
            error = RefusedError(text, hint=hint, checks=(POLICY,))
            error.step = POLICY
            raise error
        case _:
            assert_never(judged)
    for text in work.accepted:
        work.notice(text, warning=True)


async def _change(work: HostWork, plan: HostPlan, state: HostState | None) -> RiskChange:
    """Assess; a system that was given is not what the configuration of today makes.

    Raises:
        StepError: It does not evaluate, or it was given and never assessed here.
    """
    session, wanted = work.session, System(plan.target.out, plan.specialisation)
    running = system_of(state) if state is not None else None
    if work.host.name not in session.request.systems:
        return await assess(session.setup, session.evaluations, work, wanted, running)
    after = recalled(session.setup, wanted)
    if after is None:
        raise StepError("its system is given, and was never assessed on this machine")
    return score.change(recalled(session.setup, running) if running else None, after)


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
        told = told.but(notes=(*told.notes, Note("risk", work.risk.sentence)))
    warnings = (*work.accepted, *outcome.warnings)
    return outcome.but(risk=work.risk, warnings=warnings, foreseen=told)
