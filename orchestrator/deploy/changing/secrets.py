"""A host's secrets: proved before anything is copied to it, and opened there before the switch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from orchestrator.core.check import Check
from orchestrator.core.errors import OrchestratorError, RefusedError, StepError
from orchestrator.core.event import Phase
from orchestrator.core.executor import Executor
from orchestrator.core.plan import HostPlan
from orchestrator.core.preflight import Shortfall
from orchestrator.core.store import Existing
from orchestrator.deploy.changing.line import Line
from orchestrator.deploy.work import HostWork
from orchestrator.secrets.files.rules import RulesError
from orchestrator.secrets.model.repository import HostSecrets
from orchestrator.secrets.on_host import ask_identities, try_to_open
from orchestrator.secrets.place import seen_from
from orchestrator.secrets.plan.evidence import finding
from orchestrator.secrets.plan.hosts import before_the_copy, opened, shortfalls
from orchestrator.secrets.uses import secrets_of


async def wanting(work: HostWork, plan: HostPlan, executor: Executor) -> tuple[Shortfall, ...]:
    """Find what is wrong with a host's secrets; a fleet without ``secrets.nix`` has none.

    The configuration of today says nothing of a system that was given, or that a host goes back
    to: nothing is told of one.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host did not answer to the end.
    """
    session, file = work.session, work.session.secrets.file
    given = work.host.name in session.request.systems or isinstance(plan.target, Existing)
    if file is None or given:
        return ()
    try:
        secrets = await secrets_of(session.setup, session.evaluations, work, plan.target.out)
        if not secrets.uses:
            return ()
        work.secrets = secrets
        evidence = await session.secrets.evidence(file)
    except RulesError as error:
        return tuple(shortfalls([finding("RULES-EVAL", file.name, error.message)]))
    except OrchestratorError as error:
        text = f"its secrets were not checked: {error.message}"
        return (Shortfall(Check.SECRETS, text, error.hint or "", refuses=False),)
    root, flake = Path(evidence.rules.root), session.setup.flake.folder
    secrets = replace(secrets, uses=seen_from(root, flake, secrets.uses))
    identities = await ask_identities(executor, secrets.identity_paths)
    return tuple(shortfalls(tuple(before_the_copy(evidence, secrets, identities))))


async def opens_them(work: HostWork, line: Line) -> tuple[str, ...]:
    """Have a host that has its new system open the secrets of it, for nothing.

    Returns:
        What a person should know nevertheless.

    Raises:
        RefusedError: It cannot, and nobody said that it does not matter.
        StepError: The host did not answer to the end.
    """
    secrets = work.secrets
    if secrets is None or secrets.program is None or not any(secrets.sources):
        return ()
    with work.step(Phase.PREFLIGHT):
        work.doing("its secrets are opened for trial")
        found = await line.ask(lambda executor: _try(executor, secrets))
        past = Check.SECRETS.value in work.session.request.skip_preflight
        if found and not past and work.session.request.emergency is None:
            raise _refusal(found)
    warnings = tuple(f"preflight: {one.check.value}: {one.text}" for one in found)
    for text in warnings:
        work.notice(text, warning=True)
    return warnings


async def _try(executor: Executor, secrets: HostSecrets) -> tuple[Shortfall, ...]:
    assert secrets.program is not None
    files = [source for source in secrets.sources if source is not None]
    trials = await try_to_open(executor, secrets.program, secrets.identity_paths, files)
    return tuple(shortfalls(tuple(opened(secrets, trials))))


def _refusal(found: tuple[Shortfall, ...]) -> StepError:
    past = f"to deploy nevertheless, which is recorded: --skip-preflight {Check.SECRETS.value}"
    return RefusedError(
        "; ".join(f"{one.check.value}: {one.text}" for one in found),
        hint="\n".join((*(one.remedy for one in found), past)),
        checks=(Check.SECRETS.value,),
    )
