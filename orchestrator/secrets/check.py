"""``secrets check``: all that can be proved about a repository's secrets without a private key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from orchestrator.secrets.files.rules import RulesError
from orchestrator.secrets.files.transaction import pending
from orchestrator.secrets.gather import Context, gather
from orchestrator.secrets.leaks import known_values, leaked_in_repository
from orchestrator.secrets.model.finding import SecretFinding, Severity
from orchestrator.secrets.nix_files import nix_files
from orchestrator.secrets.place import Place
from orchestrator.secrets.plan import transaction
from orchestrator.secrets.plan.checks import check
from orchestrator.secrets.plan.severity import finding, in_order, quoted
from orchestrator.secrets.plan.targets import concerning, secrets_of
from orchestrator.secrets.store_leaks import leaked_in_store


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found.

    Attributes:
        findings: The worst first.
        count: How many secrets were checked; ``None`` where their rules do not tell.
        strangers: Hosts that were asked about and of which no secret is known.
    """

    findings: tuple[SecretFinding, ...]
    count: int | None
    strangers: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether there is an error among the findings."""
        return any(one.severity is Severity.ERROR for one in self.findings)


async def check_secrets(place: Place, context: Context, *, strict: bool = False) -> Checked:
    """Check a repository's secrets, or those of some hosts; the worst finding comes first.

    Args:
        place: The repository.
        context: What is known beside it; its ``targets`` are the hosts.
        strict: Whether a warning is taken for an error.

    Raises:
        UsageError: As :func:`gather`.
        StepError: As :func:`gather`; or the store could not be searched for values.
    """
    try:
        evidence = await gather(place, context)
    except RulesError as error:
        return Checked(in_order(_no_rules(place, error), strict=strict), None)
    evidence = replace(evidence, sources=nix_files(place.root, evidence))
    if context.keyring is not None:
        known = await known_values(place.root, evidence, context.keyring)
        leaked = leaked_in_repository(place.root, evidence, known)
        in_store = await leaked_in_store(context.systems, known)
        evidence = replace(evidence, leaked=leaked, leaked_in_store=in_store)
    found = check(evidence, strict=strict)
    if not context.targets:
        return Checked(found, len(evidence.rules.rules))
    secrets = frozenset().union(*(secrets_of(evidence, host) for host in context.targets))
    asked = [host for host in context.targets if host not in context.evaluated]
    strangers = tuple(host for host in asked if not secrets_of(evidence, host))
    return Checked(concerning(found, evidence, context.targets), len(secrets), strangers)


def _no_rules(place: Place, error: RulesError) -> Iterable[SecretFinding]:
    yield from transaction.check(pending(place.root))
    fix = f"correct it; by hand: nix-instantiate --eval --strict {quoted(place.name)}"
    yield finding("RULES-EVAL", place.name, error.message, fix=fix)
