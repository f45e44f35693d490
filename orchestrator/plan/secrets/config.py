"""CFG-*: what hosts' configurations say of their secrets, held against the rules."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from orchestrator.model.secrets.finding import SecretFinding, Severity
from orchestrator.model.secrets.rules import Rule
from orchestrator.model.secrets.use import SecretUse
from orchestrator.plan.secrets.evidence import Evidence

_OTHERS = 0o007
"""The bits of those who are neither owner nor in the group: chmod(1)."""

# A clause of a symbolic mode, chmod(1): of whom it speaks, and what it gives.
_CLAUSE = re.compile(r"([ugoa]*)[+=]([rwxXst]*)")


def config(evidence: Evidence) -> Iterator[SecretFinding]:
    """Check what configurations say of secrets."""
    rules = {rule.path: rule for rule in evidence.rules.rules}
    keys: dict[str, list[str]] = defaultdict(list)
    for key, hosts in evidence.hosts.items():
        for host in hosts:
            keys[host].append(key)
    for use in evidence.uses:
        if use.in_repo and use.exists:
            yield from _rule(use, rules.get(use.file), keys[use.host])
        else:
            yield _file(use)
        yield from _mode(use)
        yield from _owner(use)
    yield from _collisions(evidence.uses)


def _file(use: SecretUse) -> SecretFinding:
    if use.in_repo:
        return _found(
            "CFG-FILE",
            Severity.ERROR,
            use,
            f"age.secrets.{use.name}.file is not there",
            f"The configuration of {use.host} does not evaluate",
            f"orchestrator secrets create {use.file}, or git add it",
        )
    return _found(
        "CFG-OUTSIDE",
        Severity.WARNING,
        use,
        f"age.secrets.{use.name}.file is not in the repository",
        "It is not checked, and not rekeyed with the others",
        "keep it in the repository, with a rule in secrets.nix",
    )


def _rule(use: SecretUse, rule: Rule | None, keys: Sequence[str]) -> Iterator[SecretFinding]:
    if rule is None:
        yield _found(
            "CFG-NORULE",
            Severity.ERROR,
            use,
            f"age.secrets.{use.name} uses it, and secrets.nix has no rule for it",
            "Nothing says who is to read it, and no rekey reaches it",
            "add it to secrets.nix, then orchestrator secrets rekey",
        )
    elif rule.error is None and _is_left_out(use, rule, keys):
        yield _found(
            "CFG-HOST",
            Severity.ERROR,
            use,
            f"{use.host} uses it, and its key is not in the file's rule",
            f"{use.host} cannot decrypt it",
            f"add {keys[0]} to its publicKeys in secrets.nix, "
            f"then orchestrator secrets rekey {use.file}",
        )


def _is_left_out(use: SecretUse, rule: Rule, keys: Sequence[str]) -> bool:
    """Whether none of a host's keys is in a rule, and it opens files with nothing else."""
    if not keys or {one.text for one in rule.recipients} & set(keys):
        return False
    return all(posixpath.basename(path).startswith("ssh_host_") for path in use.identity_paths)


def _mode(use: SecretUse) -> Iterator[SecretFinding]:
    if others := _for_others(use.mode):
        yield _found(
            "CFG-MODE",
            Severity.WARNING,
            use,
            f"age.secrets.{use.name}.mode is {use.mode}",
            f"Every user and service of {use.host} can {others} it",
            'leave it at "0400", and set owner or group',
        )


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
            yield _found(
                "CFG-OWNER",
                Severity.ERROR,
                use,
                f"age.secrets.{use.name}.{what} is {name}, and {option} has none of that name",
                f"The activation of {use.host} fails",
                f"declare {option}.{name}, or set another {what}",
            )


def _collisions(uses: Iterable[SecretUse]) -> Iterator[SecretFinding]:
    placed: dict[tuple[str, str], list[SecretUse]] = defaultdict(list)
    for use in uses:
        placed[use.host, posixpath.normpath(use.install_path)].append(use)
    for (host, place), (first, *others) in placed.items():
        for other in others:
            yield _found(
                "CFG-COLLIDE",
                Severity.ERROR,
                other,
                f"it is installed at {place}, where {first.file} is installed too",
                f"One of the two is missing on {host}",
                f"give age.secrets.{other.name} another path or name",
            )


def _found(
    check: str, severity: Severity, use: SecretUse, fact: str, effect: str, fix: str
) -> SecretFinding:
    return SecretFinding(check, severity, use.file, use.host, fact, effect, fix)
