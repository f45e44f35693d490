"""Who can read a file, and what readers are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.secrets.model.ciphertext import (
    Ciphertext,
    Header,
    Recipient,
    RecipientStatus,
    SecretFinding,
    SecretStatus,
    Stanza,
    is_for,
    is_grease,
    is_passphrase,
)
from orchestrator.secrets.model.repository import LockEntry, Rule, fingerprint
from orchestrator.secrets.plan.evidence import Evidence, shortened


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


class Names:
    """The names of all keys that are known.

    Args:
        evidence: Tells whose keys the hosts' and the users' are, and what the rules call others.
    """

    def __init__(self, evidence: Evidence) -> None:
        declared = (one for rule in evidence.rules.rules for one in rule.recipients)
        everybody = (*evidence.known, *declared)
        self._called = dict(evidence.called)
        for one in everybody:
            if one.comment:
                self._called.setdefault(one.text, one.comment)
        self._hosts = evidence.hosts
        names = {one.text: self._name(one) for one in everybody}
        self._shared = {name for name, count in Counter(names.values()).items() if count > 1}

    def hosts(self, one: Recipient) -> tuple[str, ...]:
        """The hosts whose key it is."""
        return self._hosts.get(one.text, ())

    def _name(self, one: Recipient) -> str:
        return "/".join(self.hosts(one)) or self._called.get(one.text) or shortened(one.text)

    def short(self, one: Recipient) -> str:
        """The name alone, where there is one and no other key has it."""
        name = self._name(one)
        return self.full(one) if name in self._shared else name

    def full(self, one: Recipient) -> str:
        """The name, and which key it is."""
        name, key = self._name(one), shortened(one.text)
        return key if name == key else f"{name} ({key})"


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
