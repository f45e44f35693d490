"""What is wrong with secrets that sops-nix decrypts, as far as that is seen without a key."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence

from orchestrator.core.units import listing
from orchestrator.secrets.age import keys
from orchestrator.secrets.model.ciphertext import RecipientKind, SecretFinding
from orchestrator.secrets.model.sops import (
    Groups,
    SopsContent,
    SopsEvidence,
    SopsFile,
    SopsHost,
    SopsKey,
    SopsRule,
    SopsUse,
)
from orchestrator.secrets.plan.evidence import finding, shortened
from orchestrator.secrets.plan.published import is_published
from orchestrator.secrets.plan.sops_keys import fingerprint_text, opens, parsed, recipient_of

_COMPARED = frozenset({"age", "pgp"})
"""Kinds of keys that rule and file name in one way; those of clouds are written in several."""


def check(evidence: SopsEvidence) -> tuple[SecretFinding, ...]:
    """Find what is wrong; what cannot be known is told as such, and is no error."""
    return tuple(dict.fromkeys(_check(evidence)))


def _check(evidence: SopsEvidence) -> Iterator[SecretFinding]:
    for config, why in evidence.faults.items():
        yield finding("SOPS-CONFIG", config, f"it {why}")
    for config, why in evidence.unread.items():
        yield finding("SOPS-UNPROVEN", config, f"it {why}, so its rules are not compared")
    for rule in evidence.rules:
        yield from _rule(rule)
    for file in evidence.files:
        yield from _file(file, evidence)
    for host in evidence.hosts:
        yield from _uses(host, evidence)


def _rule(rule: SopsRule) -> Iterator[SecretFinding]:
    for key in dict.fromkeys(key for group in rule.groups for key in group if key.kind == "age"):
        try:
            keys.parse(key.text)
        except ValueError as error:
            fact = f"creation rule {rule.number}: {shortened(key.text)} {error}"
            yield finding("SOPS-CONFIG", rule.config, fact)


def _file(file: SopsFile, evidence: SopsEvidence) -> Iterator[SecretFinding]:
    if file.unread:
        yield finding("SOPS-UNPROVEN", file.path, f"it {file.unread}")
    if file.content is None:
        return
    if not evidence.in_lab:
        yield from _published(file.path, file.content)
    if file.ruled:
        yield from _by_its_rules(file, file.content, evidence)


def _by_its_rules(
    file: SopsFile, content: SopsContent, evidence: SopsEvidence
) -> Iterator[SecretFinding]:
    """Compare a file with the nearest rule, unless it is as one further above has it.

    sops takes the nearest ``.sops.yaml`` above the folder that it is run in: with several above a
    file, each may be the one.
    """
    if any(not [*_against(file.path, content, rule, evidence)] for rule in file.others):
        return
    rule = file.rule or next(iter(file.others), None)
    if rule is not None:
        yield from _against(file.path, content, rule, evidence)
    else:
        yield finding("SOPS-NORULE", file.path, "sops encrypted it, and no creation rule takes it")


def _published(path: str, content: SopsContent) -> Iterator[SecretFinding]:
    able = [one for one in parsed(key.text for key in _all(content.groups)) if is_published(one)]
    if able:
        names = listing([shortened(one.text) for one in able])
        yield finding(
            "KEY-PUBLISHED",
            path,
            f"it is encrypted to keys whose private halves are published with the example: {names}",
            fix="name keys of your own in .sops.yaml; then: sops updatekeys PATH; and new values",
        )


def _all(groups: Groups) -> Iterator[SopsKey]:
    return (key for group in groups for key in group)


@functools.lru_cache(maxsize=4096)
def _same(key: SopsKey) -> object:
    """What all spellings of a key share. An SSH key and the age key made of it are two."""
    if key.kind != "age":
        return key.kind, fingerprint_text(key.text)
    recipient = recipient_of(key.text)
    if recipient is None:
        return key.text
    return keys.point(recipient) if recipient.kind is RecipientKind.X25519 else recipient.text


def _compared(groups: Groups) -> dict[object, SopsKey]:
    return {_same(key): key for key in _all(groups) if key.kind in _COMPARED}


def _against(
    path: str, content: SopsContent, rule: SopsRule, evidence: SopsEvidence
) -> Iterator[SecretFinding]:
    """Compare whom a file is encrypted to with whom its rule names."""
    able, named = _compared(content.groups), _compared(rule.groups)
    if not any(rule.groups):
        return  # its keys are given to sops when it runs
    if missing := [key for same, key in named.items() if same not in able]:
        fact = f"creation rule {rule.number} names keys that it is not encrypted to: "
        yield finding("SOPS-MISSING", path, fact + _who(missing, evidence))
    if extra := [key for same, key in able.items() if same not in named]:
        fact = f"it is encrypted to keys that creation rule {rule.number} does not name: "
        yield finding("SOPS-EXTRA", path, fact + _who(extra, evidence))
    if not missing and not extra:
        yield from _grouped(path, content, rule)


def _grouped(path: str, content: SopsContent, rule: SopsRule) -> Iterator[SecretFinding]:
    """Compare of how many groups a key is needed: Shamir's secret sharing."""
    if [_compared((one,)).keys() for one in content.groups] != [
        _compared((one,)).keys() for one in rule.groups
    ]:
        fact = f"its key groups are not those of creation rule {rule.number}"
        yield finding("SOPS-GROUPS", path, fact)
    elif len(rule.groups) > 1 and rule.threshold not in (0, content.threshold):
        fact = (
            f"it needs keys of {content.threshold} of {len(content.groups)} groups, and creation "
            f"rule {rule.number} says {rule.threshold}"
        )
        fix = "sops decrypt --in-place PATH; then: sops encrypt --in-place PATH"
        yield finding("SOPS-GROUPS", path, fact, fix=fix)


def _who(found: Iterable[SopsKey], evidence: SopsEvidence) -> str:
    return listing([_owned(key, evidence) for key in found])


def _owned(key: SopsKey, evidence: SopsEvidence) -> str:
    recipient = recipient_of(key.text) if key.kind == "age" else None
    point = keys.point(recipient) if recipient is not None else None
    owners = evidence.known.get(point, ()) if point is not None else ()
    return f"{listing(owners)} ({_name(key)})" if owners else _name(key)


def _name(key: SopsKey) -> str:
    return shortened(key.text) if key.kind == "age" else f"{key.kind} {key.text[-16:]}"


def _uses(host: str, evidence: SopsEvidence) -> Iterator[SecretFinding]:
    files = {(file.path, file.format): file for file in evidence.files}
    uses = [use for use in evidence.uses if use.host == host]
    own = evidence.hosts[host]
    if uses and own.lacks:
        fact = f"{host} has no {own.lacks}, its sops.age.keyFile"
        fix = "put the key there, or set sops.age.keyFile to null"
        yield finding("SOPS-HOST", "", fact, host=host, fix=fix)
    opened: dict[str, SopsContent] = {}
    for use in uses:
        yield from _use(use, files.get((use.file, use.format)))
        file = files.get((use.file, use.format)) if use.in_repo and use.exists else None
        if file is not None and file.content is not None:
            opened[use.file] = file.content
    for path, content in opened.items():
        yield from _opened(host, path, content, own)


_TREES = frozenset({"yaml", "json"})


def _use(use: SopsUse, file: SopsFile | None) -> Iterator[SecretFinding]:
    """Hold one secret of a host against its file."""
    what = f"sops.secrets.{use.name} of {use.host}"
    if not use.in_repo:
        fact = f"{what} is not in the repository, so nothing of it is checked"
        yield finding("SOPS-UNPROVEN", use.file, fact, host=use.host)
    elif not use.exists or file is None or not file.there:
        yield from _missing(use, what, file)
    elif file.fault:
        fact = f"it {file.fault}; {what} takes it for {use.format}"
        yield finding("SOPS-FORMAT", use.file, fact, host=use.host)
    elif file.content is None:
        if not file.unread:
            fact = f"sops has not encrypted it; {what} uses it"
            yield finding("SOPS-FORMAT", use.file, fact, host=use.host)
    elif use.format in _TREES and use.key and (why := unreachable(file.content, use)):
        fact = f"{what} takes the key {use.key}: {why}"
        fix = "write the value in quotes: sops PATH" if "of type" in why else None
        yield finding("SOPS-NAME", use.file, fact, host=use.host, fix=fix)


def _missing(use: SopsUse, what: str, file: SopsFile | None) -> Iterator[SecretFinding]:
    if file is not None and file.there:
        fact = f"{what} names it, and git does not track it, so it is not there for Nix"
        yield finding("SOPS-FILE", use.file, fact, host=use.host, fix="git add PATH")
    else:
        yield finding("SOPS-FILE", use.file, f"{what} names it, and it is not there", host=use.host)


_VALUE = re.compile(r"ENC\[AES256_GCM,data:[^,]*,iv:[^,]*,tag:[^,]*,type:(int|float|bool)\]")


def unreachable(content: SopsContent, use: SopsUse) -> str:
    """Why sops-nix does not find a text at a key, as it looks for it; empty where it does.

    sops leaves names in the clear, and what kind of value each has.
    """
    at: object = content.clear
    *above, last = use.key.split("/")
    for number, part in enumerate(above, 1):
        if not isinstance(at, dict) or part not in at:
            return f"{'/'.join(above[:number])} is not in it" if content.whole else ""
        at = at[part]
        if not isinstance(at, dict):
            return f"{'/'.join(above[:number])} has no keys below it"
    if not isinstance(at, dict) or last not in at:
        return "it is not in it" if content.whole else ""
    value = at[last]
    if not isinstance(value, str):
        return "its value is no text"
    kind = _VALUE.fullmatch(value)
    return f"its value is no text, but of type {kind[1]}" if kind else ""


def _opened(host: str, path: str, content: SopsContent, own: SopsHost) -> Iterator[SecretFinding]:
    match opens(content, own):
        case False:
            yield finding(
                "SOPS-HOST", path, _shut(host, content, own), host=host, fix=_name_it(own)
            )
        case None:
            fact = f"whether {host} has a key that opens it is not known here"
            yield finding("SOPS-UNPROVEN", path, fact, host=host)


def _name_it(own: SopsHost) -> str | None:
    if len(own.age) != 1:
        return None
    (point,) = own.age
    key = keys.encode("age", point.to_bytes(32, "little"))
    return f"name {key} in its rule in .sops.yaml; then: sops updatekeys PATH"


def _shut(host: str, content: SopsContent, own: SopsHost) -> str:
    ssh = [one for one in parsed(key.text for key in _all(content.groups)) if one.tag is not None]
    if any(keys.point(one) in own.age for one in ssh):
        return (
            f"it is encrypted to the SSH key of {host}, and sops-nix opens it with the age key "
            "that ssh-to-age makes of it"
        )
    if content.threshold > 1:
        return f"{host} has not keys of {content.threshold} of its {len(content.groups)} groups"
    return f"{host} uses it, and it is not encrypted to a key of this host"


def concerning(
    findings: Iterable[SecretFinding], evidence: SopsEvidence, hosts: Sequence[str]
) -> tuple[SecretFinding, ...]:
    """The findings that concern some hosts: of files that are theirs, and of the rules."""
    others = {file.path for file in evidence.files} - files_of(evidence, hosts)
    return tuple(
        one
        for one in findings
        if one.path not in others and (one.host is None or one.host in hosts)
    )


def files_of(evidence: SopsEvidence, hosts: Sequence[str]) -> frozenset[str]:
    """The files that some hosts use, or that are encrypted to a key of theirs."""
    used = {use.file for use in evidence.uses if use.host in hosts}
    theirs = {point for point, names in evidence.known.items() if {*names} & {*hosts}}
    for file in evidence.files:
        groups = file.content.groups if file.content else ()
        points = {keys.point(one) for one in parsed(key.text for key in _all(groups))}
        if points & theirs:
            used.add(file.path)
    return frozenset(used)
