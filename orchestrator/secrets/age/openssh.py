"""What a file with an SSH private key tells without its passphrase."""

from __future__ import annotations

import binascii
from dataclasses import dataclass

from orchestrator.secrets.age import ssh_key
from orchestrator.secrets.model.recipient import Recipient

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
            raise ValueError(ssh_key.unsupported(algorithm))
    return b"ENCRYPTED" in text


def _recipient(public: bytes) -> Recipient:
    algorithm = _string(public)[0].decode("ascii", "replace")
    if why := ssh_key.unsupported(algorithm):
        raise ValueError(why)
    if algorithm not in ("ssh-ed25519", "ssh-rsa"):
        raise ValueError(f"is a key of an unknown kind ({algorithm[:40]!r})")
    return ssh_key.of_wire(algorithm, public)


def _string(data: bytes) -> tuple[bytes, bytes]:
    """A length-prefixed string, and what follows it (RFC 4251 section 5)."""
    size = int.from_bytes(data[:4], "big")
    if len(data) < 4 + size:
        raise ValueError("is a malformed private key of SSH: it is cut off")
    return data[4 : 4 + size], data[4 + size :]
