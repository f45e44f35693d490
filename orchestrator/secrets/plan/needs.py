"""What a host needs before its key opens the secrets that are meant for it."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.secrets.model.ciphertext import Header
from orchestrator.secrets.model.matching import is_for
from orchestrator.secrets.model.need import Lack, Need, Needs
from orchestrator.secrets.model.recipient import Recipient, RecipientKind
from orchestrator.secrets.model.rules import Rule
from orchestrator.secrets.plan.config import uses_host_keys_only
from orchestrator.secrets.plan.evidence import Evidence
from orchestrator.secrets.plan.readers import known_recipients
from orchestrator.secrets.plan.targets import secrets_of


def needs(evidence: Evidence, host: str) -> Needs:
    """Tell of each secret that is meant for a host what its key lacks to open it.

    Meant for it are those that its configuration uses, as far as ``evidence.uses`` tells, and those
    whose rules name a key of its, or one that says by its comment that it is.
    """
    keys = _keys(evidence, host)
    rules = {rule.path: rule for rule in evidence.rules.rules}
    paths = sorted({*secrets_of(evidence, host), *(rule.path for rule in _claimed(evidence, host))})
    elsewhere = tuple(
        path for path in _opened_otherwise(evidence, host) if not _declares(rules.get(path), keys)
    )
    return Needs(
        host=host,
        key=keys[0].text if keys else None,
        secrets=tuple(
            Need(path, _lacks(evidence, path, rules.get(path), keys))
            for path in paths
            if path not in elsewhere
        ),
        old=_old(evidence, host, keys),
        elsewhere=elsewhere,
    )


def _keys(evidence: Evidence, host: str) -> list[Recipient]:
    """A host's keys; first one of Ed25519, which every host has that agenix is made for."""
    keys = [one for one in known_recipients(evidence) if host in evidence.hosts.get(one.text, ())]
    return sorted(keys, key=lambda one: one.kind is not RecipientKind.ED25519)


def _opened_otherwise(evidence: Evidence, host: str) -> list[str]:
    """The files that a host tries other private keys on than those of its SSH server."""
    uses = (use for use in evidence.uses if use.host == host and use.in_repo)
    return sorted({use.file for use in uses if not uses_host_keys_only(use)})


def _lacks(
    evidence: Evidence, path: str, rule: Rule | None, keys: Sequence[Recipient]
) -> frozenset[Lack]:
    if rule is None:
        there = any(use.exists for use in evidence.uses if use.in_repo and use.file == path)
        return frozenset({Lack.RULE} if there else {Lack.RULE, Lack.FILE})
    if rule.error is not None:
        return frozenset({Lack.UNCLEAR})
    named = frozenset() if _declares(rule, keys) else frozenset({Lack.KEY})
    if path not in evidence.files:
        return named | {Lack.FILE}
    file = evidence.ciphertext(path)
    if file is None or file.fault is not None or file.header is None:
        return named | {Lack.UNCLEAR}
    return named if _opens(file.header, keys) else named | {Lack.REKEY}


def _declares(rule: Rule | None, keys: Sequence[Recipient]) -> bool:
    texts = {one.text for one in keys}
    return rule is not None and any(one.text in texts for one in rule.recipients)


def _opens(header: Header, keys: Sequence[Recipient]) -> bool:
    return any(is_for(stanza, key) for stanza in header.stanzas for key in keys)


def _claimed(evidence: Evidence, host: str) -> list[Rule]:
    rules = evidence.rules.rules
    return [rule for rule in rules if any(_says(one, host) for one in rule.recipients)]


def _old(evidence: Evidence, host: str, keys: Sequence[Recipient]) -> tuple[str, ...]:
    rules = (rule for rule in _claimed(evidence, host) if not _declares(rule, keys))
    found = (one.text for rule in rules for one in rule.recipients if _says(one, host))
    return tuple(dict.fromkeys(found))


def _says(one: Recipient, host: str) -> bool:
    """Whether a key's comment is a host's, as ``ssh-keygen -A`` writes it."""
    return one.comment.partition(".")[0] == f"root@{host}"
