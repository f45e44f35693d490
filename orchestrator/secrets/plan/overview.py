"""Each secret with its readers, and each recipient with its secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from orchestrator.secrets.model.finding import SecretFinding
from orchestrator.secrets.model.recipient import Recipient
from orchestrator.secrets.model.rules import Rule
from orchestrator.secrets.model.status import RecipientStatus, SecretStatus
from orchestrator.secrets.plan.evidence import Evidence
from orchestrator.secrets.plan.names import Names
from orchestrator.secrets.plan.readers import Readers, judged, known_recipients, readers


def secrets(
    evidence: Evidence, findings: Iterable[SecretFinding], changed: Mapping[str, datetime]
) -> tuple[SecretStatus, ...]:
    """Tell of each secret who can read it, and what is wrong.

    Args:
        evidence: What was found out.
        findings: What is wrong, the worst first.
        changed: When files were committed last.
    """
    names, known = Names(evidence), known_recipients(evidence)
    wrong: dict[str, list[SecretFinding]] = {}
    for one in findings:
        wrong.setdefault(one.path, []).append(one)
    return tuple(
        _secret(evidence, rule, _readers(evidence, rule, known), names, wrong, changed)
        for rule in evidence.rules.rules
    )


def _readers(evidence: Evidence, rule: Rule, known: tuple[Recipient, ...]) -> Readers | None:
    file = evidence.ciphertext(rule.path)
    header = judged(rule, file) if file else None
    if header is None:
        return None
    return readers(rule, header, evidence.lock.get(rule.path), known)


def _secret(
    evidence: Evidence,
    rule: Rule,
    found: Readers | None,
    names: Names,
    wrong: Mapping[str, list[SecretFinding]],
    changed: Mapping[str, datetime],
) -> SecretStatus:
    file = evidence.ciphertext(rule.path)
    able = (*_able(rule, found), *found.extra) if found else ()
    people = [one for one in able if not names.hosts(one)]
    silent = [one for one in people if one.tag is None] if found and not found.proved else []
    return SecretStatus(
        path=rule.path,
        hosts=tuple(dict.fromkeys(host for one in able for host in names.hosts(one))),
        others=tuple(dict.fromkeys(names.short(one) for one in people)),
        unproved=tuple(dict.fromkeys(names.short(one) for one in silent)),
        unknown=found.unknown if found else 0,
        size=file.plaintext_size if file else None,
        changed=changed.get(rule.path),
        findings=tuple(wrong.get(rule.path, ())),
    )


def _able(rule: Rule, found: Readers) -> list[Recipient]:
    return [one for one in rule.recipients if one not in found.missing]


def recipients(evidence: Evidence) -> tuple[RecipientStatus, ...]:
    """Tell of each recipient what it is called, and which secrets it reads; hosts come first."""
    names, known = Names(evidence), known_recipients(evidence)
    declared: dict[str, list[str]] = {}
    lacking: dict[str, list[str]] = {}
    extra: dict[str, list[str]] = {}
    for rule in evidence.rules.rules:
        for text in {one.text for one in rule.recipients}:
            declared.setdefault(text, []).append(rule.path)
        if found := _readers(evidence, rule, known):
            for one in found.missing:
                lacking.setdefault(one.text, []).append(rule.path)
            for one in found.extra:
                extra.setdefault(one.text, []).append(rule.path)
    rows = [
        RecipientStatus(
            name=names.short(one),
            kind=one.kind,
            key=one.text,
            declared=len(declared.get(one.text, ())),
            lacking=tuple(lacking.get(one.text, ())),
            extra=tuple(extra.get(one.text, ())),
            is_host=bool(names.hosts(one)),
        )
        for one in known
        if one.text in declared or one.text in extra
    ]
    return tuple(sorted(rows, key=lambda row: (not row.is_host, row.name)))
