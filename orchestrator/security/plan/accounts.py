"""Accounts, groups, passwords and keys that nobody declared."""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
from collections.abc import Iterator, Mapping

from orchestrator.risk.model import Password
from orchestrator.security.model import Account, Base, Declared, Finding, Kind, Severity
from orchestrator.security.plan.answer import KeyLine, Passwd, Seen

_MIGHTY = frozenset(
    {
        *("root", "wheel", "sudo", "admin", "disk", "kmem", "shadow", "docker", "podman"),
        *("libvirtd", "lxd", "incus-admin", "kvm", "nixbld", "keys", "systemd-journal"),
    }
)
"""Groups whose members are root, or nearly."""

_TYPES = ("ssh-", "ecdsa-", "sk-")


def accounts(seen: Seen, base: Base, declared: Declared) -> Iterator[Finding]:
    """Give accounts that are not declared, or are with another number."""
    if declared.accounts is None:
        return
    for one in seen.passwd.values():
        known = declared.accounts.get(one.name)
        if known is None:
            if one.name not in base.accounts:
                yield _account(one, seen)
        elif known.uid is not None and known.uid != one.uid:
            yield Finding(
                Kind.ACCOUNT,
                one.name,
                f"uid {known.uid}",
                f"uid {one.uid}",
                Severity.CRITICAL if one.uid == 0 else Severity.MODERATE,
                "NixOS leaves the number of an account that is there as it is; set it by hand: "
                f"usermod --uid {known.uid} {one.name}",
            )


def _account(one: Passwd, seen: Seen) -> Finding:
    state = dict(seen.pairs("shadow")).get(one.name, "")
    may = {"empty": ", an empty password", "set": ", a password"}.get(state, "")
    severity = Severity.CRITICAL if one.uid == 0 else Severity.MODERATE
    if one.uid != 0 and state in ("empty", "set"):
        severity = Severity.HIGH
    return Finding(
        Kind.ACCOUNT,
        one.name,
        "no such account",
        f"uid {one.uid}, shell {one.shell}{may}",
        severity,
        "if it is meant, declare it in users.users; else see what it did, and remove it: userdel",
    )


def groups(seen: Seen, base: Base, declared: Declared) -> Iterator[Finding]:
    """Give groups that are not declared, and members of declared ones who are not."""
    if declared.groups is None or declared.accounts is None:
        return
    for one in seen.groups.values():
        if one.name in base.groups and one.name not in declared.groups:
            continue
        if one.name not in declared.groups:
            yield _group(one.name, "no such group", f"gid {one.gid}", Severity.LOW)
            continue
        may = {*declared.groups[one.name], *_named_by(declared.accounts, one.name)}
        for member in one.members:
            if member in may or member in base.groups.get(one.name, ()):
                continue
            severity = Severity.HIGH if one.name in _MIGHTY else Severity.MODERATE
            yield _group(f"{one.name}/{member}", "no such member", f"{member} is in it", severity)


def _named_by(accounts_: Mapping[str, Account], group: str) -> set[str]:
    return {name for name, account in accounts_.items() if group in account.groups}


def _group(subject: str, said: str, found: str, severity: Severity) -> Finding:
    advice = "if it is meant, declare it: users.groups, extraGroups; else: gpasswd --delete"
    return Finding(Kind.GROUP, subject, said, found, severity, advice)


def passwords(seen: Seen, base: Base, declared: Declared) -> Iterator[Finding]:
    """Give declared accounts with a password that nobody declared, or with none to be asked for."""
    if declared.accounts is None:
        return
    for name, state in seen.pairs("shadow"):
        known = declared.accounts.get(name)
        if known is None or name in base.accounts:
            continue
        if state == "empty" and known.password is not Password.EMPTY:
            yield _password(name, known, "anybody may log in as it", Severity.CRITICAL)
        elif state == "set" and known.password is Password.NONE and declared.mutable is False:
            yield _password(name, known, "it has one", Severity.HIGH)


def _password(name: str, known: Account, found: str, severity: Severity) -> Finding:
    declared = "no password" if known.password is Password.NONE else "a password"
    advice = "lock it: usermod --lock NAME; or deploy, which sets what is declared"
    return Finding(Kind.UNLOCKED, name, declared, found, severity, advice)


def keys(seen: Seen, base: Base, declared: Declared) -> Iterator[Finding]:
    """Give keys that may log in and that nobody declared, or with other words than declared."""
    if declared.accounts is None:
        return
    lines = [line for one in declared.accounts.values() for line in one.keys]
    known = {key for line in lines if (key := key_of(line))}
    whole = {" ".join(line.split()) for line in lines}
    told = set()
    for one in seen.keys:
        key = key_of(one.line)
        subject = f"{one.file} {fingerprint(key)}"
        if not key or key in base.keys or subject in told:
            continue
        if key in known:
            if _options(one.line, key) in {_options(line, key) for line in whole if key in line}:
                continue
            found, severity = "it stands there with other options", Severity.MODERATE
        else:
            found, severity = _found(seen, declared, one)
        told.add(subject)
        yield Finding(
            Kind.KEY,
            subject,
            "no such key",
            found,
            severity,
            "if it is meant, declare it: users.users.NAME.openssh.authorizedKeys.keys; else "
            "remove its line, and see whose it is",
        )


def _found(seen: Seen, declared: Declared, one: KeyLine) -> tuple[str, Severity]:
    owner = seen.name_of(one.owner)
    unread = [n for n, a in (declared.accounts or {}).items() if a.unread]
    if unread:
        return f"a key of {owner}, and files of keys are declared that were not read", Severity.LOW
    account = (declared.accounts or {}).get(owner)
    if (
        account
        and not account.person
        and one.owner
        and "command=" in one.line.partition(" AAAA")[0]
    ):
        return f"a key that may run one command as {owner}: services make such", Severity.NOTE
    groups_ = {group.name for group in seen.groups.values() if owner in group.members}
    severity = Severity.HIGH if one.owner == 0 or groups_ & _MIGHTY else Severity.MODERATE
    return f"a key that lets in as {owner}", severity


def key_of(line: str) -> str:
    """The type and the key of a line of authorized_keys(8); empty where it has none."""
    words = line.split()
    for kind, key in itertools.pairwise(words):
        if kind.startswith(_TYPES) and key.startswith("AAAA"):
            return f"{kind} {key}"
    return ""


def _options(line: str, key: str) -> str:
    return " ".join(line.split()).partition(key)[0].strip()


def fingerprint(key: str) -> str:
    """As ``ssh-keygen -l`` has it: RFC 4648's base 64 of SHA-256, without its padding."""
    try:
        blob = base64.b64decode(key.partition(" ")[2], validate=True)
    except (binascii.Error, ValueError):
        return "of no form"
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
