"""REKEY-*: whether those who can read a file are those who are declared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from orchestrator.core.words import listing
from orchestrator.secrets.model.finding import SecretFinding, Severity
from orchestrator.secrets.model.recipient import Recipient
from orchestrator.secrets.model.rules import Rule
from orchestrator.secrets.plan.evidence import Evidence
from orchestrator.secrets.plan.names import Names
from orchestrator.secrets.plan.readers import Readers, judged, known_recipients, readers
from orchestrator.secrets.plan.severity import finding


def check(evidence: Evidence) -> Iterator[SecretFinding]:
    """Find files that somebody cannot read who should, or can who should not."""
    known, names = known_recipients(evidence), Names(evidence)
    for rule in evidence.rules.rules:
        file = evidence.ciphertext(rule.path)
        header = judged(rule, file) if file else None
        if header is None:
            continue
        found = readers(rule, header, evidence.lock.get(rule.path), known)
        yield from _missing(evidence, rule, found.missing, names)
        yield from _others(rule, found, names)


def _missing(
    evidence: Evidence, rule: Rule, missing: Sequence[Recipient], names: Names
) -> Iterator[SecretFinding]:
    """One finding for each host that no key of its own helps, and one for all others together."""
    lacking = {one.text for one in missing}
    able = set(_hosts(evidence, (one for one in rule.recipients if one.text not in lacking)))
    shut = dict.fromkeys(host for host in _hosts(evidence, missing) if host not in able)
    for host in shut:
        severity = Severity.ERROR if host in evidence.targets else Severity.WARNING
        fact = f"{host} is declared and cannot read it"
        yield finding("REKEY-NEEDED", rule.path, fact, host=host, severity=severity)
    people = [one for one in missing if not shut.keys() & set(_hosts(evidence, (one,)))]
    if people:
        who = listing([names.full(one) for one in people])
        fact = f"declared and cannot read it: {who}"
        yield finding("REKEY-NEEDED", rule.path, fact, effect="They cannot decrypt the file")


def _hosts(evidence: Evidence, keys: Iterable[Recipient]) -> Iterator[str]:
    return (host for one in keys for host in evidence.hosts.get(one.text, ()))


def _others(rule: Rule, found: Readers, names: Names) -> Iterator[SecretFinding]:
    if found.extra:
        who = listing([names.full(one) for one in found.extra])
        fact = f"not declared and can read it: {who}"
        yield finding("REKEY-EXTRA", rule.path, fact)
    if rule.unusable:
        return  # a key that is not understood may be whose the rest is
    if found.unknown:
        fact = f"{_keys(found.unknown)} can read it that nobody here has"
        yield finding("REKEY-UNKNOWN", rule.path, fact)
    if not found.count_is_right:
        declared = f"its rule has {found.expected[0]} of that kind"
        fact = f"{_keys(found.unnamed)} can read it that it does not name, and {declared}"
        yield finding("REKEY-COUNT", rule.path, fact)
    elif not found.proved:
        fact = f"who {found.unnamed} of its recipients are is not proved"
        yield finding("REKEY-UNPROVEN", rule.path, fact)


def _keys(count: int) -> str:
    return "1 key" if count == 1 else f"{count} keys"
