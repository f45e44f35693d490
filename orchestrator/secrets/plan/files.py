"""FILE-*: whether what is declared is there, and what is there is declared."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.words import listing
from orchestrator.secrets.model.finding import SecretFinding, Severity
from orchestrator.secrets.plan.evidence import Evidence, Unreadable
from orchestrator.secrets.plan.rules import leads_out
from orchestrator.secrets.plan.severity import finding


def check(evidence: Evidence) -> Iterator[SecretFinding]:
    """Find files that are missing, that have no rule, or that are no files."""
    for path in dict.fromkeys(rule.path for rule in evidence.rules.rules):
        if leads_out(path):
            continue
        match evidence.files.get(path):
            case None:
                yield _missing(evidence, path)
            case Unreadable(why):
                yield finding("FILE-READ", path, why)
    for path in evidence.undeclared:
        yield finding("FILE-UNDECLARED", path, "it has no rule in secrets.nix")


def _missing(evidence: Evidence, path: str) -> SecretFinding:
    if users := evidence.users(path):
        fact = f"it is declared and does not exist, and is used by {listing(users)}"
        return finding("FILE-MISSING", path, fact, severity=Severity.ERROR)
    return finding("FILE-MISSING", path, "it is declared and does not exist")
