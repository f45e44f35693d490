"""Which secrets, and which findings, concern some hosts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.secrets.model.finding import SecretFinding
from orchestrator.secrets.plan.evidence import Evidence


def secrets_of(evidence: Evidence, host: str) -> frozenset[str]:
    """The files that a host can read by their rules, or uses by its configuration."""
    declared = {
        rule.path
        for rule in evidence.rules.rules
        if any(host in evidence.hosts.get(one.text, ()) for one in rule.recipients)
    }
    used = {use.file for use in evidence.uses if use.host == host and use.in_repo}
    return frozenset(declared | used)


def concerning(
    findings: Iterable[SecretFinding], evidence: Evidence, hosts: Sequence[str]
) -> tuple[SecretFinding, ...]:
    """The findings that concern some hosts: of their secrets, of none, of nobody knows whose."""
    theirs = frozenset().union(*(secrets_of(evidence, host) for host in hosts))
    others = {rule.path for rule in evidence.rules.rules if rule.error is None}
    others |= set(evidence.undeclared)
    others -= theirs
    return tuple(
        one
        for one in findings
        if one.path not in others and (one.host is None or one.host in hosts)
    )
