"""``secrets check``: all that can be proved about a repository's secrets without a private key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.adapters.secrets.rules import RulesError
from orchestrator.adapters.secrets.transaction import pending
from orchestrator.engine.secrets.gather import Context, gather
from orchestrator.engine.secrets.place import Place
from orchestrator.errors import UsageError
from orchestrator.model.secrets.finding import SecretFinding, Severity
from orchestrator.plan.secrets import transaction
from orchestrator.plan.secrets.checks import check
from orchestrator.plan.secrets.evidence import Evidence
from orchestrator.plan.secrets.severity import finding, in_order, quoted
from orchestrator.plan.secrets.targets import concerning, secrets_of, without_secrets


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found.

    Attributes:
        findings: The worst first.
        count: How many secrets were checked; ``None`` where their rules do not tell.
    """

    findings: tuple[SecretFinding, ...]
    count: int | None

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
        UsageError: As :func:`gather`; or nothing is known of a host that was asked about.
        StepError: As :func:`gather`.
    """
    try:
        evidence = await gather(place, context)
    except RulesError as error:
        return Checked(in_order(_no_rules(place, error), strict=strict), None)
    found = check(evidence, strict=strict)
    if not context.targets:
        return Checked(found, len(evidence.rules.rules))
    _require_known(evidence, context.targets)
    secrets = frozenset().union(*(secrets_of(evidence, host) for host in context.targets))
    return Checked(concerning(found, evidence, context.targets), len(secrets))


def _no_rules(place: Place, error: RulesError) -> Iterable[SecretFinding]:
    yield from transaction.check(pending(place.root))
    fix = f"correct it; by hand: nix-instantiate --eval --strict {quoted(place.name)}"
    yield finding("RULES-EVAL", place.name, error.message, fix=fix)


def _require_known(evidence: Evidence, targets: Iterable[str]) -> None:
    """To find nothing of a host of which nothing is known would look like a proof."""
    if unknown := without_secrets(evidence, targets):
        raise UsageError(
            f"no secret is known to be for {', '.join(unknown)}: no rule has its key",
            hint=f"orchestrator host trust {unknown[0]} makes its key known; "
            "without a host's name every secret is checked",
        )
