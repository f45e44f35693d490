"""Private keys in files: age's, OpenSSH's, with and without a passphrase."""

from __future__ import annotations

import binascii
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.core.units import split_lines
from orchestrator.secrets.age import file as age_file
from orchestrator.secrets.age import header, keys
from orchestrator.secrets.age.file import INTRO, AgeFormatError, IdentityError, Key
from orchestrator.secrets.model.ciphertext import Recipient, is_passphrase

_BEGIN = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_END = b"-----END OPENSSH PRIVATE KEY-----"
_MAGIC = b"openssh-key-v1\0"
_PLAIN = b"none"


@dataclass(frozen=True, slots=True)
class Description:
    """A private key's file.

    Attributes:
        encrypted: Whether a passphrase opens it.
        recipient: Its public half; ``None`` in PEM, which does not tell.
    """

    encrypted: bool
    recipient: Recipient | None


def describe(data: bytes) -> Description:
    """Tell what a private key's file holds.

    OpenSSH writes the public half in clear before the private one (OpenSSH's PROTOCOL.key).

    Raises:
        ValueError: It is malformed, or of a kind that age cannot use.
    """
    text = data.strip()
    if not text.startswith(_BEGIN):
        return Description(_is_encrypted_pem(text), None)
    try:
        blob = binascii.a2b_base64(text.removeprefix(_BEGIN).partition(_END)[0])
    except ValueError:
        raise ValueError("is a malformed private key of SSH") from None
    if not blob.startswith(_MAGIC):
        raise ValueError("is a malformed private key of SSH")
    cipher, rest = _string(blob[len(_MAGIC) :])
    _, rest = _string(rest)
    _, rest = _string(rest)
    public, _ = _string(rest[4:])
    return Description(cipher != _PLAIN, _recipient(public))


def _is_encrypted_pem(text: bytes) -> bool:
    first = text.partition(b"\n")[0]
    if b"PRIVATE KEY-----" not in first:
        raise ValueError("is no private key, neither of SSH nor of age")
    for algorithm, begin in (("ecdsa-sha2-nistp256", b"BEGIN EC "), ("ssh-dss", b"BEGIN DSA ")):
        if begin in first:
            raise ValueError(keys.unsupported(algorithm))
    return b"ENCRYPTED" in text


def _recipient(public: bytes) -> Recipient:
    algorithm = _string(public)[0].decode("ascii", "replace")
    if why := keys.unsupported(algorithm):
        raise ValueError(why)
    if algorithm not in ("ssh-ed25519", "ssh-rsa"):
        raise ValueError(f"is a key of an unknown kind ({algorithm[:40]!r})")
    return keys.of_wire(algorithm, public)


def _string(data: bytes) -> tuple[bytes, bytes]:
    """A length-prefixed string, and what follows it (RFC 4251 section 5)."""
    size = int.from_bytes(data[:4], "big")
    if len(data) < 4 + size:
        raise ValueError("is a malformed private key of SSH: it is cut off")
    return data[4 : 4 + size], data[4 + size :]


class WrongPassphraseError(Exception):
    """A passphrase does not open a private key."""


def unlock(data: bytes, passphrase: str | None) -> bytes:
    """Give a private key in the form that pyrage takes.

    Args:
        data: An encrypted file of age's, or a private key of SSH in OpenSSH's form or in PEM.
        passphrase: ``None`` for a key in PEM that is not encrypted.

    Raises:
        WrongPassphraseError: The passphrase is wrong.
        ValueError: The key is malformed, or of a kind that age cannot use.
    """
    if age_file.is_armored(data) or data.startswith(INTRO):
        return _age(data, passphrase or "")
    # What a terminal could not read as text is given on as the bytes that were typed.
    typed = None if passphrase is None else passphrase.encode(errors="surrogateescape")
    return _ssh(data, typed)


MOST_WORK = 20
"""As a power of two: 1 GiB of memory and some seconds. age itself writes 18."""


def _age(data: bytes, passphrase: str) -> bytes:
    try:
        head = header.parse(age_file.decode(data) if age_file.is_armored(data) else data)
        work = header.work_of(head.stanzas[0]) if is_passphrase(head.stanzas[0]) else 0
    except AgeFormatError as error:
        raise ValueError(error.text) from None
    if work is not None and work > MOST_WORK:
        raise ValueError(
            f"takes more work for its passphrase than is done here (2^{work}; at most "
            f"2^{MOST_WORK}): encrypt it again, with age or `ssh-keygen -p`"
        )
    try:
        return age_file.decrypt_by_passphrase(data, passphrase)
    except UnicodeEncodeError:
        raise WrongPassphraseError from None
    except age_file.NotOpenedError as error:
        if error.matching:
            raise WrongPassphraseError from None
        raise ValueError("takes more work for its passphrase than is done here") from None


def _ssh(data: bytes, passphrase: bytes | None) -> bytes:
    from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

    is_openssh = data.lstrip().startswith(_BEGIN)
    load = serialization.load_ssh_private_key if is_openssh else serialization.load_pem_private_key
    try:
        key = load(data, passphrase)
    except UnsupportedAlgorithm:
        raise ValueError("is encrypted in a way that is not known here") from None
    except (ValueError, TypeError, InvalidTag):
        if passphrase is None:
            raise ValueError("is a malformed private key of SSH") from None
        raise WrongPassphraseError from None
    if not isinstance(key, ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
        raise ValueError("is a private key of a kind that age cannot use")
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )


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
        data = unlock(locked.data, passphrase)
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
    if age_file.is_armored(data) or data.startswith(INTRO):
        return (Locked(path, None, data),)
    if data.lstrip().startswith(b"-----BEGIN "):
        return (_ssh_identity(path, data),)
    return tuple(_age_identity(path, data))


def _ssh_identity(path: str, data: bytes) -> Identity:
    public = describe(data)
    if public.encrypted:
        return Locked(path, public.recipient, data)
    plain = data if public.recipient else unlock(data, None)
    recipient = public.recipient or describe(plain).recipient
    if recipient and not age_file.takes(recipient):
        return External(path, recipient)
    return Opened(path, recipient, age_file.ssh_key(plain))


def _age_identity(path: str, data: bytes) -> Iterator[Opened | External]:
    external = False
    for line in split_lines(data.decode("ascii", "replace")):
        text = line.strip()
        if text.startswith(("AGE-PLUGIN-", "AGE-SECRET-KEY-PQ-")):
            external = True
        elif text and not text.startswith("#"):
            if not text.startswith("AGE-SECRET-KEY-1"):
                raise ValueError("is no private key, neither of SSH nor of age")
            key, public = age_file.age_key(text)
            yield Opened(path, keys.parse(public), key)
    if external:
        yield External(path)
