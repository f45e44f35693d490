"""Encrypt and decrypt a secret, in memory: by pyrage, or by ``age`` where only that can."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.secrets.age import armor as textual
from orchestrator.secrets.age import binary, header, library
from orchestrator.secrets.age.errors import ClosedError, DamagedError
from orchestrator.secrets.age.keyring import Keyring
from orchestrator.secrets.model.recipient import Recipient


async def encrypt(plaintext: bytes, recipients: Sequence[Recipient], *, armor: bool) -> bytes:
    """Encrypt a secret to all of its recipients; a binary file never ends with a newline.

    Args:
        plaintext: What to encrypt; never written anywhere.
        recipients: At least one; each counts once.
        armor: Whether to write the textual form.

    Raises:
        ValueError: There is no recipient.
        StepError: They cannot stand together; or one of them needs the ``age`` program, and it is
            not there or cannot.
    """
    if not recipients:
        raise ValueError("a secret needs a recipient")
    each = list({one.text: one for one in recipients}.values())
    while True:
        data = await _encrypt(plaintext, each, armor=armor)
        # One in 256 binary files ends with a newline, as those do that a text hook has altered.
        if armor or not data.endswith(b"\n"):
            return data


async def _encrypt(plaintext: bytes, recipients: Sequence[Recipient], *, armor: bool) -> bytes:
    if all(map(library.takes, recipients)):
        return library.encrypt(plaintext, recipients, armor=armor)
    return await binary.encrypt(plaintext, recipients, armor=armor)


async def decrypt(ciphertext: bytes, keyring: Keyring) -> bytes:
    """Decrypt a secret.

    A passphrase is asked for only where an encrypted key may open what no other one opens.

    Args:
        ciphertext: The whole file, binary or armored.
        keyring: The private keys at hand.

    Raises:
        AgeFormatError: It is no sound age file.
        DamagedError: It is for a key at hand, and was altered.
        ClosedError: No key at hand opens it.
        IdentityError: A passphrase was wrong too often.
        StepError: A key needs the ``age`` program, and it is not there.
    """
    data = textual.decode(ciphertext) if textual.is_armored(ciphertext) else ciphertext
    head = header.parse(data)
    damaged = None
    for identity in keyring.may_open(head):
        try:
            return library.decrypt(data, identity.key)
        except library.NotOpenedError as error:
            damaged = identity if error.matching else damaged
    if files := keyring.external(head):
        return await binary.decrypt(data, files)
    if damaged:
        raise DamagedError(f"does not open with {damaged.path}, which it is for: it was altered")
    raise ClosedError("is not for any of the private keys at hand")
