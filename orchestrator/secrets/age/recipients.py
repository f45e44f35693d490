"""Public keys as people write them: what age can encrypt to, or why it cannot."""

from __future__ import annotations

import hashlib
import re

from orchestrator.core.lines import split_lines
from orchestrator.secrets.age import bech32, curves, ssh_key
from orchestrator.secrets.model.recipient import Recipient, RecipientKind

_LONGEST = 8192
_PLUGIN = re.compile(r"age1([a-z0-9+._-]+)")
_POST_QUANTUM_SIZE = 1216
_TAG_PQ_SIZE, _TAG_PQ_POINT = 1249, 1184


def parse(text: str) -> Recipient:
    """Read a public key: ``ssh-ed25519 …``, ``ssh-rsa …`` or ``age1…``.

    As strict as the ``age`` program, which agenix hands each key as it is written.

    Raises:
        ValueError: Nothing can be encrypted to it; the text is a fact about it, such as ``is an
            ECDSA key; age takes ssh-ed25519 and ssh-rsa keys only``.
    """
    if not text.strip():
        raise ValueError("is empty")
    if len(text) > _LONGEST:
        raise ValueError(f"is longer than any key ({len(text)} characters)")
    if text.startswith("age1"):
        return _age(text)
    return _ssh(text)


def _ssh(text: str) -> Recipient:
    if len(split_lines(text.strip())) > 1:
        raise ValueError("has several lines: age would take the first and pass over the others")
    algorithm, _, rest = text.partition(" ") if " " in text else text.partition("\t")
    coded, *comment = rest.split(maxsplit=1) or [""]
    if algorithm in (RecipientKind.ED25519.value, RecipientKind.RSA.value):
        return ssh_key.parse(algorithm, coded, "".join(comment).strip())
    raise ValueError(ssh_key.unsupported(algorithm) or _not_a_key(text))


def _not_a_key(text: str) -> str:
    if text[0].isspace():
        return "begins with white space"
    if text.upper().startswith("AGE-SECRET-KEY-") or "PRIVATE KEY" in text:
        return "is a private key, which must never stand here"
    if text.startswith("AGE1"):
        return "is in capital letters; age takes it in small ones only"
    if "ssh-ed25519 " in text or "ssh-rsa " in text:
        return "has something before the key; age takes no options of authorized_keys"
    return "is no public key: neither ssh-ed25519, ssh-rsa nor age1…"


def _age(text: str) -> Recipient:
    if text.split() != [text]:
        raise ValueError("has white space in it or after it")
    name, data = bech32.decode(text)
    match name:
        case "age":
            return _x25519(text, data)
        case "age1pq":
            _check(len(data) == _POST_QUANTUM_SIZE)
            return Recipient(text, RecipientKind.MLKEM, None)
        case "age1tag":
            _check(curves.is_p256(data))
            return Recipient(text, RecipientKind.P256TAG, _digest(data))
        case "age1tagpq":
            _check(len(data) == _TAG_PQ_SIZE)
            return Recipient(text, RecipientKind.MLKEM_P256TAG, _digest(data[_TAG_PQ_POINT:]))
        case "age1yubikey":
            _check(curves.is_p256(data))
            return Recipient(text, RecipientKind.PIV, _digest(data))
    _check(_PLUGIN.fullmatch(name) is not None)
    return Recipient(text, RecipientKind.PLUGIN, None)


def _x25519(text: str, data: bytes) -> Recipient:
    _check(len(data) == 32)
    if curves.is_weak_x25519(data):
        raise ValueError(ssh_key.WEAK)
    return Recipient(text, RecipientKind.X25519, None)


def _check(sound: bool) -> None:
    if not sound:
        raise ValueError("is malformed: it has not the form of its kind of key")


def _digest(point: bytes) -> bytes:
    """What the tags of P-256 keys begin from (C2SP age.md, "p256tag recipient stanza")."""
    return hashlib.sha256(point).digest()[:4]
