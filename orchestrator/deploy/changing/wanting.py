"""What is wanting beside a host's answer: secrets that are wrong, what its machine lacks."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core.checks import Check, Shortfall
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.executor import Executor
from orchestrator.core.facts import Facts
from orchestrator.core.plan import HostPlan
from orchestrator.core.state import HostState
from orchestrator.core.store import Existing
from orchestrator.core.values import replace
from orchestrator.deploy.changing.forwards import needs
from orchestrator.deploy.work import HostWork, Session
from orchestrator.secrets.files.rules import RulesError
from orchestrator.secrets.on_host import ask_identities
from orchestrator.secrets.place import seen_from
from orchestrator.secrets.plan import published
from orchestrator.secrets.plan.evidence import finding
from orchestrator.secrets.plan.hosts import PLACEHOLDERS, before_the_copy, shortfalls
from orchestrator.secrets.sops import check_before_deploying
from orchestrator.secrets.uses import secrets_of


async def wanting(
    work: HostWork, plan: HostPlan, state: HostState, executor: Executor, now: Facts | None
) -> tuple[Shortfall, ...]:
    """Find what a host's own answer does not say.

    Args:
        work: The host's.
        plan: What is to become of it.
        state: What it runs.
        executor: The way to it.
        now: What it said just now that it is made of; ``None`` where it did not.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host did not answer to the end.
    """
    return (*_needs(work, plan, state, now), *await _secrets(work, plan, executor))


def _needs(
    work: HostWork, plan: HostPlan, state: HostState, now: Facts | None
) -> tuple[Shortfall, ...]:
    """Compare; what it goes back to, and a system that was given, need what nobody knows here."""
    session, host = work.session, work.host
    if isinstance(plan.target, Existing) or host.name in session.request.systems:
        return ()
    return needs(session.setup, host, state, now, planned=session.request.plan_only)


async def _secrets(work: HostWork, plan: HostPlan, executor: Executor) -> tuple[Shortfall, ...]:
    """Find what is wrong with a host's secrets, where its fleet has a file of rules for any.

    The configuration of today says nothing of a system that a host goes back to: nothing is told
    of one. Of a system that was given it is told only whether everybody has the secrets' keys.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host did not answer to the end.
    """
    session, files = work.session, work.session.secrets.files
    if isinstance(plan.target, Existing) or not (files or session.secrets.uses_sops):
        return ()
    if work.host.name in session.request.systems:
        return await _everybodys(session, files)
    evidence = None
    try:
        secrets = await secrets_of(
            session.setup, session.evaluations, work, plan.target.out, plan.specialisation
        )
        if session.setup.placeholders and secrets.uses:
            return (PLACEHOLDERS,)
        if files and secrets.uses:
            work.secrets = secrets
            evidence = await session.secrets.evidence()
    except RulesError as error:
        return tuple(shortfalls([finding("RULES-EVAL", files[0].name, error.message)]))
    except OrchestratorError as error:
        text = f"its secrets were not checked: {error.message}"
        return (Shortfall(Check.SECRETS, text, error.hint or "", refuses=False),)
    of_sops = tuple(shortfalls(await check_before_deploying(session.setup, secrets, executor)))
    if evidence is None:
        return (*await _everybodys(session, files), *of_sops)
    root, flake = Path(evidence.rules.root), session.setup.flake.of(work.host).folder
    secrets = replace(secrets, uses=seen_from(root, flake, secrets.uses))
    identities = await ask_identities(executor, secrets.identity_paths)
    return (*shortfalls(tuple(before_the_copy(evidence, secrets, identities))), *of_sops)


async def _everybodys(session: Session, files: tuple[Path, ...]) -> tuple[Shortfall, ...]:
    """Find secrets that everybody can read: with them a fleet goes to no host, used or not."""
    if not files or session.setup.in_lab:
        return ()
    try:
        evidence = await session.secrets.evidence()
    except OrchestratorError:
        return ()  # what else is wrong with secrets does not concern this host
    return tuple(shortfalls(tuple(published.check(evidence))))
