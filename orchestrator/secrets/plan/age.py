"""AGE-*: whether each file is a sound age file that a host could decrypt."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.words import listing
from orchestrator.secrets.model.ciphertext import Ciphertext
from orchestrator.secrets.model.finding import SecretFinding, Severity
from orchestrator.secrets.model.matching import is_passphrase
from orchestrator.secrets.model.rules import Rule
from orchestrator.secrets.plan.evidence import Evidence
from orchestrator.secrets.plan.severity import finding


def check(evidence: Evidence) -> Iterator[SecretFinding]:
    """Find what is wrong with each declared file in itself."""
    for rule in evidence.rules.rules:
        if file := evidence.ciphertext(rule.path):
            yield from _one(evidence, rule, file)


def _one(evidence: Evidence, rule: Rule, file: Ciphertext) -> Iterator[SecretFinding]:
    if file.header and any(map(is_passphrase, file.header.stanzas)):
        yield finding("AGE-PASSPHRASE", rule.path, "a passphrase opens it")
        return
    if file.fault is not None:
        yield finding("AGE-FORMAT", rule.path, file.detail)
        return
    if file.plaintext_size == 0:
        yield _empty(evidence, rule.path)
    if rule.path in evidence.opened:
        if (why := evidence.opened[rule.path]) is not None:
            yield finding("AGE-DECRYPT", rule.path, f"it does not decrypt: {why}")
    elif file.extra_newline:
        yield finding("AGE-NEWLINE", rule.path, "it ends with a newline")
    if rule.error is None and file.armored != rule.armor:
        forms = ("armored", "binary") if file.armored else ("binary", "armored")
        yield finding("AGE-ARMOR", rule.path, f"it is {forms[0]}, and its rule wants it {forms[1]}")


def _empty(evidence: Evidence, path: str) -> SecretFinding:
    if users := evidence.users(path):
        fact = f"its plaintext is empty, and is used by {listing(users)}"
        return finding("AGE-EMPTY", path, fact, severity=Severity.ERROR)
    return finding("AGE-EMPTY", path, "its plaintext is empty")
