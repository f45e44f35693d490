"""LEAK-*: values in the repository, and in the store, which everybody on a host can read.

A value is never put into a finding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from orchestrator.secrets.model.finding import SecretFinding, Severity
from orchestrator.secrets.plan.evidence import Evidence
from orchestrator.secrets.plan.nix_text import Kind, Word, words
from orchestrator.secrets.plan.severity import finding, quoted

_WORTH_A_LOOK = re.compile(
    r"(?i)pass|psk|pwd|secret|token|key|readFile|fileContents|import(?:JSON|TOML)|xox|ghp_|AKIA"
)
_CREDENTIALS = frozenset({"password", "passwd", "passphrase", "psk", "pwd", "secret", "token"})
_KEYS = frozenset({"api", "access", "private", "secret", "auth", "encryption", "preshared"})
_HARMLESS = frozenset({"hash", "hashed", "public", "file", "path", "command", "name", "url"})
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_-]+")

# What no credential is: a path, a URL, a variable, a hash as crypt(5) has it, a word for none.
_NO_VALUE = re.compile(
    r"(?i)\s*(?:[/~.$<@%!*].*|[a-z+]+://.*|.{0,2}|true|false|null|none|yes|no|ask|prompt|disabled)\s*",
    re.DOTALL,
)

# Shapes that only tokens and private keys have.
_TOKEN = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|AGE-SECRET-KEY-1[0-9A-Z]{10}|\bAKIA[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[0-9A-Za-z]{36}|\bgithub_pat_[0-9A-Za-z_]{22}|\bglpat-[0-9A-Za-z_-]{20}"
    r"|\bxox[abpr]-[0-9A-Za-z-]{10}|\bsk-[0-9A-Za-z_-]{32}|\bAIza[0-9A-Za-z_-]{35}"
)
_TOLD = 10
"""Places in the store that are told of one value: a common word may stand in thousands."""

_READERS = frozenset({"readFile", "fileContents", "importJSON", "importTOML"})
_DECRYPTED = re.compile(r"/run/(?:agenix|secrets)(?:\.d)?/")
_MODIFIERS = frozenset({"mkDefault", "mkForce", "mkOptionDefault", "mkVMOverride", "lib", "."})


def check(evidence: Evidence) -> Iterator[SecretFinding]:
    """Look through the repository's Nix files, and tell where values of secrets were found."""
    yield from _values(evidence)
    for path, text in sorted(evidence.sources.items()):
        if _WORTH_A_LOOK.search(text):
            found = tuple(words(text))
            yield from _literals(path, found)
            yield from _reads(path, found)


def _values(evidence: Evidence) -> Iterator[SecretFinding]:
    for path, secret in evidence.leaked:
        fix = f"remove it there and rotate it: orchestrator secrets edit {quoted(secret)}"
        yield finding("LEAK-KNOWN", path, f"the value of {secret} stands in it", fix=fix)
    places: dict[str, list[str]] = {}
    for path, secret in evidence.leaked_in_store:
        places.setdefault(secret, []).append(path)
    for secret, paths in places.items():
        fix = (
            "take it out of the configuration, rotate it with orchestrator secrets edit "
            f"{quoted(secret)}, deploy, then nix-collect-garbage"
        )
        told, more = paths[:_TOLD], len(paths) - _TOLD
        for path in told:
            others = f", and in {more} more in the store" if more > 0 and path == told[-1] else ""
            yield finding(
                "LEAK-KNOWN", path, f"the value of {secret} stands in it{others}", fix=fix
            )


def _literals(path: str, found: Sequence[Word]) -> Iterator[SecretFinding]:
    for at, word in enumerate(found):
        if word.kind is not Kind.STRING:
            continue
        if _TOKEN.search(word.text):
            fact = f"line {word.line} has a token or a private key written into it"
            yield finding("LEAK-LITERAL", path, fact, severity=Severity.ERROR)
        elif word.whole and not _NO_VALUE.fullmatch(word.text):
            name = _assigned(found, at)
            if name is not None and _is_credential(name):
                fact = f"line {word.line} has a value written into it for {name}"
                yield finding("LEAK-LITERAL", path, fact)


def _assigned(found: Sequence[Word], at: int) -> str | None:
    """The name that a string is the value of: ``NAME = "…"``, ``NAME ? "…"``, with a priority."""
    if at + 1 < len(found) and found[at + 1].text not in (";", ",", "}"):
        return None
    before = at - 1
    while before > 0 and found[before].text in _MODIFIERS:
        before -= 1
    if before < 1 or found[before].kind is not Kind.SIGN or found[before].text not in ("=", "?"):
        return None
    named = found[before - 1]
    return None if named.kind is Kind.SIGN else named.text


def _is_credential(name: str) -> bool:
    parts = [part.lower() for part in _CAMEL.split(name) if part]
    if not parts or _HARMLESS & set(parts):
        return False
    if parts[-1] in _CREDENTIALS or parts[-1] == "apikey":
        return True
    return parts[-1] == "key" and len(parts) > 1 and parts[-2] in _KEYS


def _reads(path: str, found: Sequence[Word]) -> Iterator[SecretFinding]:
    for at, word in enumerate(found):
        if word.kind is not Kind.NAME or word.text not in _READERS:
            continue
        if _is_decrypted(_argument(found[at + 1 :])):
            yield finding("LEAK-READFILE", path, f"line {word.line} reads a decrypted secret")


def _argument(rest: Sequence[Word]) -> list[Word]:
    """What a function is applied to: one word, a path of attributes, or what is in parentheses."""
    taken: list[Word] = []
    depth = 0
    for word in rest:
        sign = word.text if word.kind is Kind.SIGN else ""
        joins = not taken or depth or sign == "." or taken[-1].text == "."
        if not joins or (sign in (")", ";") and not depth):
            break
        depth += (sign == "(") - (sign == ")")
        taken.append(word)
    return taken


def _is_decrypted(argument: Sequence[Word]) -> bool:
    texts = [word.text for word in argument]
    if any(word.kind is Kind.STRING and _DECRYPTED.match(word.text) for word in argument):
        return True
    named = "".join(texts)
    return re.search(r"age\.secrets\.[^()]+\.path\b", named) is not None
