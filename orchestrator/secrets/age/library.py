"""What pyrage does: encrypting and decrypting in memory. Only this file knows it.

Its functions on files and streams are never called: they leave plaintext behind that anybody may
read, and partial plaintext of a file that is cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NewType, assert_never

import pyrage  # type: ignore[import-untyped]

from orchestrator.core.errors import StepError
from orchestrator.secrets.model.ciphertext import Recipient, RecipientKind

Key = NewType("Key", object)
"""A private key as pyrage holds it; what it prints of itself is not the key."""

_NO_KEY = "No matching keys found"
_TOO_MUCH_WORK = "Excessive work"


class NotOpenedError(Exception):
    """A file was not opened; ``matching`` tells whether a key was meant to open it."""

    def __init__(self, matching: bool) -> None:
        super().__init__("meant for the key, and not opened" if matching else "no matching key")
        self.matching = matching


def takes(recipient: Recipient) -> bool:
    """Whether pyrage can encrypt to a recipient."""
    return _recipient(recipient) is not None


def encrypt(plaintext: bytes, recipients: Sequence[Recipient], *, armor: bool) -> bytes:
    """Encrypt in memory, to recipients that it ``takes``.

    Raises:
        ValueError: It does not take one, or there is none.
        StepError: They cannot stand together: post-quantum keys and others.
    """
    known = [_recipient(one) for one in recipients]
    if not known or None in known:
        raise ValueError("no recipient that pyrage can encrypt to")
    try:
        return bytes(pyrage.encrypt(plaintext, known, armored=armor))
    except pyrage.EncryptError as error:
        # It marks names for right-to-left text, which no terminal needs here.
        why = str(error).replace("\u2068", "").replace("\u2069", "")
        raise StepError(
            f"the secret was not encrypted: {why}",
            hint="name either post-quantum recipients alone, or none of them",
        ) from None


def decrypt(ciphertext: bytes, key: Key) -> bytes:
    """Decrypt in memory with one key.

    Raises:
        NotOpenedError: It does not open.
    """
    try:
        return bytes(pyrage.decrypt(ciphertext, [key]))
    except pyrage.DecryptError as error:
        raise NotOpenedError(_NO_KEY not in str(error)) from None


def decrypt_by_passphrase(ciphertext: bytes, passphrase: str) -> bytes:
    """Decrypt in memory what a passphrase opens.

    Raises:
        NotOpenedError: The passphrase is wrong; not ``matching`` where it was not even tried.
    """
    try:
        return bytes(pyrage.passphrase.decrypt(ciphertext, passphrase))
    except pyrage.DecryptError as error:
        raise NotOpenedError(_TOO_MUCH_WORK not in str(error)) from None


def ssh_key(data: bytes) -> Key:
    """Read an SSH private key that is not encrypted.

    Raises:
        ValueError: It cannot be used.
    """
    try:
        return Key(pyrage.ssh.Identity.from_buffer(data))
    except pyrage.IdentityError:
        raise ValueError("is a malformed private key of SSH") from None


def age_key(text: str) -> tuple[Key, str]:
    """Read an ``AGE-SECRET-KEY-1…``; its public half comes with it.

    Raises:
        ValueError: It is malformed.
    """
    try:
        key = pyrage.x25519.Identity.from_str(text)
    except pyrage.IdentityError:
        # Its message could repeat the key.
        raise ValueError("is a malformed private key of age") from None
    return Key(key), str(key.to_public())


def _recipient(recipient: Recipient) -> object | None:
    match recipient.kind:
        case RecipientKind.ED25519 | RecipientKind.RSA:
            make = pyrage.ssh.Recipient.from_str
        case RecipientKind.X25519:
            make = pyrage.x25519.Recipient.from_str
        case RecipientKind.P256TAG:
            make = pyrage.tag.Recipient.from_str
        case RecipientKind.MLKEM_P256TAG:
            make = pyrage.tagpq.Recipient.from_str
        case RecipientKind.PIV | RecipientKind.MLKEM | RecipientKind.PLUGIN:
            return None
        case _:
            assert_never(recipient.kind)
    try:
        found: object = make(recipient.text)
    except pyrage.RecipientError:
        return None
    return found
