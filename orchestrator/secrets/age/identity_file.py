"""What a file of private keys holds: age's own, or one of SSH."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.core.lines import split_lines
from orchestrator.secrets.age import armor, library, openssh, recipients, unlock
from orchestrator.secrets.age.disguise import INTRO
from orchestrator.secrets.age.errors import IdentityError
from orchestrator.secrets.age.library import Key
from orchestrator.secrets.model.recipient import Recipient

_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Opened:
    """A private key that can be used.

    Attributes:
        path: Its file.
        recipient: Its public half.
        key: The key.
    """

    path: str
    recipient: Recipient | None
    key: Key = field(repr=False)


@dataclass(frozen=True, slots=True)
class Locked:
    """A file of private keys that a passphrase opens.

    Attributes:
        path: The file.
        recipient: The public half of its key; ``None`` where the file does not tell.
        data: What it holds.
    """

    path: str
    recipient: Recipient | None
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class External:
    """A file with a key that only the ``age`` program can use, perhaps through a plugin.

    Attributes:
        path: The file.
        recipient: The public half of its key; ``None`` where the file does not tell.
    """

    path: str
    recipient: Recipient | None = None


Identity = Opened | Locked | External


def read(path: str) -> tuple[Identity, ...]:
    """Read a file of private keys.

    Raises:
        IdentityError: It cannot be read, or holds nothing that can decrypt.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "its name is no file name"
        raise IdentityError(f"{path}: the private key cannot be read: {why}") from None
    try:
        return _identities(path, data)
    except ValueError as error:
        raise IdentityError(
            f"{path} {error}", hint="name another private key with --identity FILE"
        ) from None


def unlocked(locked: Locked, passphrase: str) -> tuple[Identity, ...]:
    """Open a locked file, in memory.

    Raises:
        unlock.WrongPassphraseError: The passphrase is wrong.
        IdentityError: It holds nothing that can decrypt.
    """
    try:
        data = unlock.unlock(locked.data, passphrase)
        found = _identities(locked.path, data)
    except ValueError as error:
        raise IdentityError(f"{locked.path} {error}") from None
    if any(isinstance(one, External) and one.recipient for one in found):
        raise IdentityError(
            f"{locked.path} is an encrypted key of a kind that only the age program can use",
            hint="name another private key with --identity FILE, or decrypt by hand: "
            f"age --decrypt --identity {shlex.quote(locked.path)} FILE",
        )
    return found


def _identities(path: str, data: bytes) -> tuple[Identity, ...]:
    if len(data) > _LARGEST:
        raise ValueError("is too large for a file of private keys")
    if armor.is_armored(data) or data.startswith(INTRO):
        return (Locked(path, None, data),)
    if data.lstrip().startswith(b"-----BEGIN "):
        return (_ssh(path, data),)
    return tuple(_age(path, data))


def _ssh(path: str, data: bytes) -> Identity:
    public = openssh.describe(data)
    if public.encrypted:
        return Locked(path, public.recipient, data)
    plain = data if public.recipient else unlock.unlock(data, None)
    recipient = public.recipient or openssh.describe(plain).recipient
    if recipient and not library.takes(recipient):
        return External(path, recipient)
    return Opened(path, recipient, library.ssh_key(plain))


def _age(path: str, data: bytes) -> Iterator[Opened | External]:
    external = False
    for line in split_lines(data.decode("ascii", "replace")):
        text = line.strip()
        if text.startswith(("AGE-PLUGIN-", "AGE-SECRET-KEY-PQ-")):
            external = True
        elif text and not text.startswith("#"):
            if not text.startswith("AGE-SECRET-KEY-1"):
                raise ValueError("is no private key, neither of SSH nor of age")
            key, public = library.age_key(text)
            yield Opened(path, recipients.parse(public), key)
    if external:
        yield External(path)
