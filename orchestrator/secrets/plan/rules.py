"""RULES-*: whether ``secrets.nix`` says something usable of each file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from orchestrator.core.words import listing
from orchestrator.secrets.model.finding import SecretFinding
from orchestrator.secrets.model.rules import Rule
from orchestrator.secrets.plan.severity import finding


def check(rules: Sequence[Rule]) -> Iterator[SecretFinding]:
    """Find what is wrong with the rules themselves."""
    for rule in rules:
        yield from _one(rule)
    for path, times in Counter(rule.path for rule in rules).items():
        if times > 1:
            yield finding("RULES-DUP", path, f"{times} entries name this file")


def leads_out(path: str) -> bool:
    """Whether a path may be outside the repository."""
    return path.startswith("/") or ".." in path.split("/") or "\0" in path


def _one(rule: Rule) -> Iterator[SecretFinding]:
    if leads_out(rule.path):
        yield finding("RULES-PATH", rule.path, "its name leads out of the repository")
    if rule.error is not None:
        yield finding("RULES-EVAL", rule.path, rule.error)
        return
    if not rule.keys and not rule.unusable:
        yield finding(
            "RULES-KEY",
            rule.path,
            "its publicKeys is empty",
            effect="Nobody could read it",
            fix="name its recipients in secrets.nix",
        )
    for key, why in rule.unusable:
        which = f"its recipient {shortened(key)!r}" if key else "a recipient of it"
        yield finding("RULES-KEY", rule.path, f"{which} {why}")
    twice = [
        key for key, times in Counter(one.text for one in rule.recipients).items() if times > 1
    ]
    if twice:
        names = listing([shortened(key) for key in twice])
        yield finding("RULES-DUP", rule.path, f"it has a recipient twice: {names}")


def shortened(key: str) -> str:
    """A key that is known by its kind and its end."""
    kind, _, body = key.partition(" ")
    if not body:
        return key if len(key) <= 24 else f"{key[:8]}…{key[-8:]}"
    body, _, comment = body.partition(" ")
    short = body if len(body) <= 16 else f"…{body[-8:]}"
    return f"{kind[:32]} {short} {comment[:40]}".rstrip()
