"""CFG-*: what hosts' configurations say of their secrets, held against the rules."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from orchestrator.core.units import listing
from orchestrator.secrets.model.ciphertext import SecretFinding
from orchestrator.secrets.model.repository import Rule, SecretUse
from orchestrator.secrets.plan.evidence import Evidence, finding, is_beside

_REKEY = "orchestrator secrets rekey PATH"
_OTHERS = 0o007
"""The bits of those who are neither owner nor in the group: chmod(1)."""

# A clause of a symbolic mode, chmod(1): of whom it speaks, and what it gives.
_CLAUSE = re.compile(r"([ugoa]*)[+=]([rwxXst]*)")


def check(evidence: Evidence) -> Iterator[SecretFinding]:
    """Find what is wrong with hosts' configurations."""
    rules = {rule.path: rule for rule in evidence.rules.rules}
    keys: dict[str, list[str]] = defaultdict(list)
    for key, hosts in evidence.hosts.items():
        for host in hosts:
            keys[host].append(key)
    for use in evidence.uses:
        if use.in_repo and use.exists:
            yield from _rule(evidence, use, rules.get(use.file), keys[use.host])
            yield from _strangers(evidence, use, rules.get(use.file))
        else:
            yield _file(use)
        yield from _mode(use)
        yield from _owner(use)
        if use.hidden:
            fact = f"{_option(use)}.symlink is false, and its path is the default one"
            yield _found("CFG-SYMLINK", use, fact)
    yield from _collisions(evidence.uses)


def _file(use: SecretUse) -> SecretFinding:
    if use.in_repo:
        return _found("CFG-FILE", use, f"{_option(use)}.file is not there for Nix")
    return _found("CFG-OUTSIDE", use, f"{_option(use)}.file is not in the repository")


def _rule(
    evidence: Evidence, use: SecretUse, rule: Rule | None, keys: Sequence[str]
) -> Iterator[SecretFinding]:
    if rule is None:
        yield _no_rule(evidence, use)
    elif rule.error is None and _is_left_out(use, rule, keys):
        fact = f"{use.host} uses it, and its key is not in the rule"
        fix = f"add {keys[0]} to its publicKeys; then: orchestrator secrets rekey PATH"
        yield _found("CFG-HOST", use, fact, fix)


def _strangers(evidence: Evidence, use: SecretUse, rule: Rule | None) -> Iterator[SecretFinding]:
    """Find the hosts that can read what one of many equal machines has of its own."""
    if rule is None or not use.of_member:
        return
    named: dict[str, None] = {}
    alike: dict[str, None] = {}
    for one in rule.recipients:
        hosts = evidence.hosts.get(one.text, ())
        (alike if use.host in hosts else named).update(dict.fromkeys(hosts))
    alike.pop(use.host, None)
    if named:
        fact = f"it is {use.host}'s own, and its rule has the key of {listing([*named])}"
        yield _found("CFG-MEMBER", use, fact)
    elif alike:
        fact = f"it is {use.host}'s own, and its host key is that of {listing([*alike])} too"
        fix = f"give each a host key of its own, as clones of one image need; then: {_REKEY}"
        yield _found("CFG-MEMBER", use, fact, fix)


def _no_rule(evidence: Evidence, use: SecretUse) -> SecretFinding:
    """Say why a file has no rule: its rules are broken, are not looked at, or do not name it."""
    if (broken := evidence.unread(use.file)) is not None:
        fact = f"{_option(use)} names it, and its rules say nothing usable: {broken.path}"
        return _found("RULES-EVAL", use, f"{fact} {broken.fact}", broken.fix)
    tracked = evidence.repository.tracked if evidence.repository else frozenset()
    read = {posixpath.relpath(evidence.rules.file, evidence.rules.root)}
    read |= {rule.source for rule in evidence.rules.rules}
    unread = (name for name in tracked - read if posixpath.basename(name) == "secrets.nix")
    other = max((name for name in unread if is_beside(name, use.file)), key=len, default=None)
    fix = f"if {other} has it: `secrets: {{rules: [FILE, …]}}` names it beside the others"
    fact = f"{_option(use)} names it, and secrets.nix does not"
    return _found("CFG-NORULE", use, fact, fix if other else None)


def _is_left_out(use: SecretUse, rule: Rule, keys: Sequence[str]) -> bool:
    """Whether none of a host's keys is in a rule, and it opens files with nothing else."""
    if not keys or {one.text for one in rule.recipients} & set(keys):
        return False
    return uses_host_keys_only(use)


def uses_host_keys_only(use: SecretUse) -> bool:
    """Whether a host tries no other private keys than those of its SSH server."""
    return all(posixpath.basename(path).startswith("ssh_host_") for path in use.identity_paths)


def _mode(use: SecretUse) -> Iterator[SecretFinding]:
    if others := _for_others(use.mode):
        fact = f"{_option(use)}.mode is {use.mode}: everybody can {others} it"
        yield _found("CFG-MODE", use, fact, f'age.secrets.{use.name}.mode = "0400"')


def _for_others(mode: str) -> str:
    """What a mode lets everybody do, in words; empty where nothing."""
    if re.fullmatch("[0-7]+", mode):
        bits = int(mode, 8) & _OTHERS
        return " and ".join(["read"] * bool(bits & 4) + ["change"] * bool(bits & 2))
    given = "".join(what for who, what in _CLAUSE.findall(mode) if {"o", "a"} & set(who))
    return " and ".join(["read"] * ("r" in given) + ["change"] * ("w" in given))


def _owner(use: SecretUse) -> Iterator[SecretFinding]:
    for what, name, known, option in (
        ("owner", use.owner, use.owner_known, "users.users"),
        ("group", use.group, use.group_known, "users.groups"),
    ):
        if not known:
            fact = f"{_option(use)}.{what} is {name}, and {option} has no such name"
            yield _found("CFG-OWNER", use, fact, f"declare {option}.{name}, or set another {what}")


def _collisions(uses: Iterable[SecretUse]) -> Iterator[SecretFinding]:
    placed: dict[tuple[str, str], list[SecretUse]] = defaultdict(list)
    for use in uses:
        placed[use.host, posixpath.normpath(use.install_path)].append(use)
    for (_, place), (first, *others) in placed.items():
        for other in others:
            fact = f"{_option(other)} is installed at {place}, as is age.secrets.{first.name}"
            yield _found("CFG-COLLIDE", other, fact)


def _option(use: SecretUse) -> str:
    return f"{use.host}'s age.secrets.{use.name}"


def _found(check: str, use: SecretUse, fact: str, fix: str | None = None) -> SecretFinding:
    return finding(check, use.file, fact, host=use.host, fix=fix)
