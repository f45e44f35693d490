"""All checks of the secrets, over one evidence."""

from __future__ import annotations

from orchestrator.secrets.model.finding import SecretFinding
from orchestrator.secrets.plan import age, config, files, git, leaks, rekey, rules, transaction
from orchestrator.secrets.plan.evidence import Evidence
from orchestrator.secrets.plan.severity import in_order


def check(evidence: Evidence, *, strict: bool = False) -> tuple[SecretFinding, ...]:
    """Find all that is wrong, the worst first.

    Args:
        evidence: What was found out.
        strict: Whether a warning is taken for an error.
    """
    found = (
        *transaction.check(evidence.pending),
        *rules.check(evidence.rules.rules),
        *files.check(evidence),
        *age.check(evidence),
        *rekey.check(evidence),
        *git.check(evidence),
        *config.check(evidence),
        *leaks.check(evidence),
    )
    return in_order(found, strict=strict)
