"""Who can read a file, found without a private key.

A header names its SSH and P-256 recipients by a tag. Of others it tells only how many there are;
``secrets.lock.json`` tells who, as long as the header is the one that it was written for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.secrets.model.ciphertext import Ciphertext, Header, Stanza
from orchestrator.secrets.model.lock import LockEntry, fingerprint
from orchestrator.secrets.model.matching import is_for, is_grease, is_passphrase
from orchestrator.secrets.model.recipient import Recipient
from orchestrator.secrets.model.rules import Rule
from orchestrator.secrets.plan.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Readers:
    """Who can read a file, against who should.

    Attributes:
        missing: Declared, and cannot.
        extra: Can, are known, and are not declared.
        unknown: How many others can.
        unnamed: How many stanzas do not tell whom they are for.
        expected: How many of those there should be: the fewest and the most.
        proved: Whether the lock file tells who they are.
    """

    missing: tuple[Recipient, ...] = ()
    extra: tuple[Recipient, ...] = ()
    unknown: int = 0
    unnamed: int = 0
    expected: tuple[int, int] = (0, 0)
    proved: bool = True

    @property
    def count_is_right(self) -> bool:
        """Whether as many stanzas tell nothing as there are such recipients."""
        return self.expected[0] <= self.unnamed <= self.expected[1]


def judged(rule: Rule, file: Ciphertext) -> Header | None:
    """The header of a sound file that is for keys, where the rule says whose; else nothing."""
    if rule.error is not None or not rule.recipients or file.fault is not None:
        return None
    if file.header and any(map(is_passphrase, file.header.stanzas)):
        return None
    return file.header


def known_recipients(evidence: Evidence) -> tuple[Recipient, ...]:
    """All keys that have a name: those of every rule, and those known beside them."""
    declared = (one for rule in evidence.rules.rules for one in rule.recipients)
    return tuple({one.text: one for one in (*evidence.known, *declared)}.values())


def readers(
    rule: Rule, header: Header, lock: LockEntry | None, known: Sequence[Recipient]
) -> Readers:
    """Compare a header with a rule.

    Args:
        rule: Who should read the file.
        header: Who can.
        lock: Who could when it was written down.
        known: Keys that strangers are looked for among.
    """
    stanzas = [stanza for stanza in header.stanzas if not is_grease(stanza)]
    named = _named(rule, stanzas, known)
    if lock is not None and lock.header == header.digest:
        return _with_lock(rule, named, lock, known)
    return named


def _named(rule: Rule, stanzas: Sequence[Stanza], known: Sequence[Recipient]) -> Readers:
    """Judge by the tags alone."""
    told = [one for one in rule.recipients if one.tag is not None]
    silent = [one for one in rule.recipients if one.tag is None]
    strangers, unnamed = [], 0
    for stanza in stanzas:
        if stanza.tag is None:
            unnamed += 1
        elif not any(is_for(stanza, one) for one in told):
            strangers.append(stanza)
    extra = [_owner(stanza, known) for stanza in strangers]
    return Readers(
        missing=tuple(
            one for one in _once(told) if not any(is_for(stanza, one) for stanza in stanzas)
        ),
        extra=tuple(one for one in extra if one is not None),
        unknown=extra.count(None),
        unnamed=unnamed,
        expected=(len(_once(silent)), len(silent)),
        proved=unnamed == 0 and not silent,
    )


def _with_lock(rule: Rule, named: Readers, lock: LockEntry, known: Sequence[Recipient]) -> Readers:
    """Add what the lock file tells of recipients that the header does not name."""
    declared = {fingerprint(one) for one in rule.recipients}
    absent = [
        one
        for one in _once(rule.recipients)
        if one.tag is None and fingerprint(one) not in lock.recipients
    ]
    names = {fingerprint(one): one for one in known}
    others = [names.get(print_) for print_ in lock.recipients - declared]
    extra = [one for one in others if one is not None and one.tag is None]
    return Readers(
        missing=(*named.missing, *absent),
        extra=(*named.extra, *extra),
        # Of a fingerprint that nobody has it is not known whether the header names it.
        unknown=max(named.unknown, others.count(None)),
        unnamed=named.unnamed,
        expected=named.expected if not absent and not extra else (named.unnamed, named.unnamed),
        proved=True,
    )


def _owner(stanza: Stanza, known: Sequence[Recipient]) -> Recipient | None:
    return next((one for one in known if is_for(stanza, one)), None)


def _once(recipients: Sequence[Recipient]) -> list[Recipient]:
    return list({one.text: one for one in recipients}.values())
