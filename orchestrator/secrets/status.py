"""Who can read each secret, what each recipient reads, what a host lacks."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.errors import StepError
from orchestrator.host.setup import Setup
from orchestrator.secrets.check import with_configurations
from orchestrator.secrets.files import repository
from orchestrator.secrets.files.rules import RulesError
from orchestrator.secrets.gather import Context, gather
from orchestrator.secrets.model.ciphertext import RecipientStatus, SecretStatus
from orchestrator.secrets.model.repository import Needs
from orchestrator.secrets.place import SecretsRepository
from orchestrator.secrets.plan import readers
from orchestrator.secrets.plan.checks import check
from orchestrator.secrets.plan.evidence import Evidence
from orchestrator.secrets.plan.hosts import needs, secrets_of


async def status(place: SecretsRepository, context: Context) -> tuple[SecretStatus, ...]:
    """Look at all secrets, or at those of some hosts.

    Raises:
        UsageError: As :func:`gather`.
        RulesError: A ``secrets.nix`` says nothing usable.
        StepError: git refused.
    """
    # One after the other: what the first refuses must not leave a git behind.
    evidence = await _gather(place, context)
    changed = await repository.changed(place.root, place.folders) if place.in_git else {}
    found = readers.secrets(evidence, check(evidence), changed)
    if not context.targets:
        return found
    theirs = frozenset().union(*(secrets_of(evidence, host) for host in context.targets))
    return tuple(one for one in found if one.path in theirs)


async def _gather(place: SecretsRepository, context: Context) -> Evidence:
    """Gather all; a list without what one of several files of rules should say would mislead."""
    evidence = await gather(place, context)
    for one in evidence.broken:
        raise RulesError(f"{one.path} {one.fact}", hint=one.fix)
    return evidence


async def recipients(place: SecretsRepository, context: Context) -> tuple[RecipientStatus, ...]:
    """List the recipients of a repository's secrets.

    Raises:
        UsageError: As :func:`gather`.
        RulesError: A ``secrets.nix`` says nothing usable.
        StepError: git refused.
    """
    return readers.recipients(await _gather(place, context))


@dataclass(frozen=True, slots=True)
class FoundNeeds:
    """What a host needs.

    Attributes:
        needs: As far as it is known.
        failed: Why it is not known what its configuration uses.
    """

    needs: Needs
    failed: StepError | None = None


async def needs_of(place: SecretsRepository, setup: Setup, host: str) -> FoundNeeds:
    """Find out what a host needs; its configuration is evaluated where it is not known already.

    Raises:
        UsageError: As :func:`gather`.
        RulesError: A ``secrets.nix`` says nothing usable.
        StepError: git refused.
    """
    context = Context(setup.fleet, setup.ssh, (host,), setup=setup)
    asked, failed = await with_configurations(context)
    return FoundNeeds(needs(await _gather(place, asked), host), failed.get(host))
