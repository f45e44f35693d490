"""Values of secrets in the store or the repository; Nix source as words."""

from __future__ import annotations

import base64
import re
import sys
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from orchestrator.secrets.model.ciphertext import SecretFinding, Severity
from orchestrator.secrets.plan.evidence import Evidence, finding, quoted

_CODE = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<name>[A-Za-z_][A-Za-z0-9_'-]*)
    |(?P<indented>'')|(?P<quoted>")|(?P<open>\$\{|\{)|(?P<close>\})|(?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_QUOTED = re.compile(
    r"""(?P<text>(?:[^"\\$]+|\\.|\$\$|\$(?!\{))+)|(?P<hole>\$\{)|(?P<end>")""", re.DOTALL
)
_INDENTED = re.compile(
    r"""(?P<text>(?:[^'$]+|'(?!')|''(?:['$]|\\.)|\$\$|\$(?!\{))+)|(?P<hole>\$\{)|(?P<end>'')""",
    re.DOTALL,
)


class Kind(Enum):
    """What a word is."""

    NAME = "name"
    STRING = "string"
    SIGN = "sign"


@dataclass(frozen=True, slots=True)
class Word:
    """A word of Nix source.

    Attributes:
        text: The name, the sign, or what stands between a string's quotes.
        line: Where it begins; the first line is 1.
        whole: Whether a string is without interpolations.
    """

    kind: Kind
    text: str = field(repr=False)
    line: int
    whole: bool = True


@dataclass(slots=True)
class _Open:
    """A string that is not closed yet, or code in braces (``pattern`` is ``_CODE``)."""

    pattern: re.Pattern[str]
    line: int = 0
    text: str = ""
    whole: bool = True


def words(text: str) -> Iterator[Word]:
    """Take Nix source apart. What is no Nix gives some words, and never an error."""
    stack = [_Open(_CODE)]
    at, line = 0, 1
    while at < len(text):
        top = stack[-1]
        found = top.pattern.match(text, at)
        if found is None:  # a lone backslash at the end of a string that is not closed
            return
        at = found.end()
        match found.lastgroup:
            case "name" | "sign":
                kind = Kind.NAME if found.lastgroup == "name" else Kind.SIGN
                yield Word(kind, found[0], line)
            case "quoted" | "indented":
                pattern = _QUOTED if found.lastgroup == "quoted" else _INDENTED
                stack.append(_Open(pattern, line))
            case "text":
                top.text += found[0]
            case "hole" | "open":
                top.whole = False
                stack.append(_Open(_CODE))
            case "close":
                yield Word(Kind.SIGN, "}", line)
                if len(stack) > 1:
                    stack.pop()
            case "end":
                stack.pop()
                yield Word(Kind.STRING, top.text, top.line, top.whole)
        line += found[0].count("\n")


SHORTEST = 8
"""Bytes; a shorter value stands in many a file by chance."""

LONGEST = 2**16
"""Bytes; a larger one is no value that somebody copied by hand."""

_WORD = 4
_COVERED = 2 * _WORD - 1


def forms(plaintext: bytes) -> tuple[bytes, ...]:
    """The ways in which a value may stand in a file; none of one too short or too long to tell.

    As it is, in base64 and in hexadecimal, as a URL has it, as a string of Nix, of JSON or of a
    derivation does, and as JSON in a derivation does.
    """
    value = plaintext.strip()
    if not SHORTEST <= len(value) <= LONGEST:
        return ()
    found = (
        value,
        _quoted(value),
        _quoted(_quoted(value)),
        _base64(value),
        _base64(value + b"\n"),
        value.hex().encode(),
        value.hex().upper().encode(),
        urllib.parse.quote_from_bytes(value, safe="").encode(),
    )
    return tuple(dict.fromkeys(found))


def _quoted(value: bytes) -> bytes:
    return value.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")


def _base64(value: bytes) -> bytes:
    """Without the last sign, which depends on what follows."""
    return base64.b64encode(value).rstrip(b"=")[:-1]


class KnownValues:
    """All values, looked for in one pass over a text, however many they are.

    A text is taken as words of four bytes. Wherever a form stands in it, seven bytes in a row of
    the form have one whole word of the text in them: one of four that are known beforehand. Only
    the forms of a word that is met are then looked for.

    Args:
        values: A secret's path → its value's forms, of :data:`SHORTEST` bytes or more.
    """

    def __init__(self, values: Mapping[str, tuple[bytes, ...]]) -> None:
        self._forms: dict[int, list[tuple[str, bytes]]] = {}
        for secret, wanted in values.items():
            for form in wanted:
                for word in _words_within(form):
                    self._forms.setdefault(word, []).append((secret, form))
        self._words = frozenset(self._forms)

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._words)

    def within(self, text: bytes) -> frozenset[str]:
        """The paths of the secrets whose values stand in a text."""
        whole = len(text) - len(text) % _WORD
        met = self._words.intersection(memoryview(text)[:whole].cast("I"))
        found: set[str] = set()
        for word in met:
            for secret, form in self._forms[word]:
                if secret not in found and form in text:
                    found.add(secret)
        return frozenset(found)


def _words_within(form: bytes) -> set[int]:
    """The words in a form's middle, where one differs from others most: keys begin all alike."""
    first = (len(form) - _COVERED) // 2
    starts = range(first, first + _WORD)
    return {int.from_bytes(form[at : at + _WORD], sys.byteorder) for at in starts}


def standing(known: KnownValues, files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Tell in which files values stand.

    Args:
        known: The values.
        files: A file's path → what is in it.

    Yields:
        The file's path and the secret's.
    """
    for path, data in sorted(files.items()):
        for secret in sorted(known.within(data)):
            yield path, secret


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
