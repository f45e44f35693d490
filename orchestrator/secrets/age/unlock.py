"""Opening an encrypted private key in memory: nothing of it is ever written to a file."""

from __future__ import annotations

from orchestrator.secrets.age import armor, library
from orchestrator.secrets.age.disguise import INTRO

_OPENSSH = b"-----BEGIN OPENSSH PRIVATE KEY-----"


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
    if armor.is_armored(data) or data.startswith(INTRO):
        return _age(data, passphrase or "")
    # What a terminal could not read as text is given on as the bytes that were typed.
    typed = None if passphrase is None else passphrase.encode(errors="surrogateescape")
    return _ssh(data, typed)


def _age(data: bytes, passphrase: str) -> bytes:
    try:
        return library.decrypt_by_passphrase(data, passphrase)
    except UnicodeEncodeError:
        raise WrongPassphraseError from None
    except library.NotOpenedError as error:
        if error.matching:
            raise WrongPassphraseError from None
        raise ValueError("takes more work for its passphrase than is done here") from None


def _ssh(data: bytes, passphrase: bytes | None) -> bytes:
    from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

    is_openssh = data.lstrip().startswith(_OPENSSH)
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
