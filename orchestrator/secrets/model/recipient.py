"""Whom a secret is encrypted to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class RecipientKind(Enum):
    """What sort of key a recipient is; the value is the stanza that age writes for it.

    ``PLUGIN`` is any other ``age1NAME1…``: its plugin decides what stanza it writes.
    """

    ED25519 = "ssh-ed25519"
    RSA = "ssh-rsa"
    X25519 = "X25519"
    P256TAG = "p256tag"
    MLKEM_P256TAG = "mlkem768p256tag"
    PIV = "piv-p256"
    MLKEM = "mlkem768x25519"
    PLUGIN = "plugin"


@dataclass(frozen=True, slots=True)
class Recipient:
    """A public key that a secret can be encrypted to.

    Attributes:
        text: The key without its comment, as age takes it: equal for equal keys.
        kind: What sort of key it is.
        tag: What stanzas tell of the key: the first 4 bytes of the SHA-256 of its wire form (SSH)
            or of its point (P-256). ``None`` where a stanza tells nothing of whom it is for.
        comment: What followed the key, such as ``root@p620``.
    """

    text: str
    kind: RecipientKind
    tag: bytes | None
    comment: str = ""
