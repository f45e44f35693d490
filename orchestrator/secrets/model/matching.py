"""Whom a stanza is for, as far as it tells without a private key."""

from __future__ import annotations

import binascii
import hmac
from typing import assert_never

from orchestrator.secrets.model.ciphertext import Stanza
from orchestrator.secrets.model.recipient import Recipient, RecipientKind

_NATIVE = frozenset(kind.value for kind in RecipientKind if kind is not RecipientKind.PLUGIN)
_COMMON = frozenset({"ssh-ed25519", "ssh-rsa", "X25519"})
_GREASE = "-grease"
_SCRYPT = "scrypt"


def is_grease(stanza: Stanza) -> bool:
    """Whether it is noise, by which rage keeps readers used to kinds that they do not know."""
    return stanza.kind.endswith(_GREASE)


def is_passphrase(stanza: Stanza) -> bool:
    """Whether a passphrase opens it, which no host can type."""
    return stanza.kind == _SCRYPT


def is_foreign(stanza: Stanza) -> bool:
    """Whether only a plugin, or a program later than the library, may open it."""
    return stanza.kind not in _COMMON and not is_grease(stanza) and not is_passphrase(stanza)


def is_for(stanza: Stanza, recipient: Recipient) -> bool | None:
    """Tell whether a stanza is for a recipient.

    A tag is a hint of 32 bits: only decrypting proves.

    Args:
        stanza: A stanza of a header.
        recipient: A public key.

    Returns:
        ``None`` where stanzas of this kind do not tell.
    """
    match recipient.kind:
        case RecipientKind.X25519 | RecipientKind.MLKEM:
            return None if stanza.kind == recipient.kind.value else False
        case RecipientKind.PLUGIN:
            known = stanza.kind in _NATIVE or is_grease(stanza) or is_passphrase(stanza)
            return False if known else None
        case RecipientKind.ED25519 | RecipientKind.RSA:
            return stanza.kind == recipient.kind.value and _same(stanza.tag, recipient.tag)
        case RecipientKind.P256TAG | RecipientKind.MLKEM_P256TAG:
            return stanza.kind == recipient.kind.value and _bound(stanza, recipient.tag)
        case RecipientKind.PIV:
            if stanza.kind == RecipientKind.P256TAG.value:
                return _bound(stanza, recipient.tag)
            return stanza.kind == recipient.kind.value and _same(stanza.tag, recipient.tag)
        case _:
            assert_never(recipient.kind)


def _same(tag: bytes | None, other: bytes | None) -> bool:
    return tag is not None and tag == other


def _bound(stanza: Stanza, tag: bytes | None) -> bool:
    """Whether a tag is bound to the stanza's own key.

    ``HKDF-Extract(salt = "age-encryption.org/KIND", ikm = enc || tag)[:4]``, C2SP age.md, "p256tag
    recipient stanza".
    """
    if tag is None or len(stanza.arguments) != 2:
        return False
    text = stanza.arguments[1]
    try:
        enc = binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except ValueError:
        return False
    salt = f"age-encryption.org/{stanza.kind}".encode()
    return _same(stanza.tag, hmac.digest(salt, enc + tag, "sha256")[:4])
