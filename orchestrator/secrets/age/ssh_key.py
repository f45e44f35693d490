"""Public keys of SSH in their wire form (RFC 4253 section 6.6, RFC 8709 section 4)."""

from __future__ import annotations

import binascii
import hashlib

from orchestrator.secrets.age import curves
from orchestrator.secrets.model.recipient import Recipient, RecipientKind

_UNSUPPORTED = {
    "ssh-dss": "is a DSA key",
    "ecdsa-sha2-nistp256": "is an ECDSA key",
    "ecdsa-sha2-nistp384": "is an ECDSA key",
    "ecdsa-sha2-nistp521": "is an ECDSA key",
    "sk-ssh-ed25519@openssh.com": "is a key on a security token (sk-)",
    "sk-ecdsa-sha2-nistp256@openssh.com": "is a key on a security token (sk-)",
}
_TAKEN = "age takes ssh-ed25519 and ssh-rsa keys only"
WEAK = "is a point of small order: everybody could read what is encrypted to it"
_RSA_BITS = range(2048, 16384 + 1)
_ED25519_SIZE = 32


def unsupported(algorithm: str) -> str | None:
    """Why an algorithm of SSH cannot be encrypted to; ``None`` where it is not one of these."""
    if "-cert-v0" in algorithm:
        return f"is an SSH certificate; {_TAKEN}"
    why = _UNSUPPORTED.get(algorithm)
    return f"{why}; {_TAKEN}" if why else None


def parse(algorithm: str, coded: str, comment: str) -> Recipient:
    """Read an SSH public key.

    Args:
        algorithm: ``ssh-ed25519`` or ``ssh-rsa``.
        coded: Its wire form in base64.
        comment: What follows it.

    Raises:
        ValueError: It is malformed, weak, or of another algorithm than it says.
    """
    try:
        wire = binascii.a2b_base64(coded + "=" * (-len(coded) % 4), strict_mode=True)
    except ValueError:
        raise ValueError("is no base64 after its algorithm: it was mistyped or cut off") from None
    canonical = binascii.b2a_base64(wire, newline=False).decode()
    if coded.rstrip("=") != canonical.rstrip("="):
        raise ValueError("is no canonical base64: it was mistyped or cut off")
    return of_wire(algorithm, wire, comment)


def of_wire(algorithm: str, wire: bytes, comment: str = "") -> Recipient:
    """Make a recipient of a key's wire form.

    Raises:
        ValueError: It is malformed, weak, or of another algorithm than it says.
    """
    name, *fields = _fields(wire)
    if name != algorithm.encode():
        raise ValueError(f"says {algorithm} and holds a key of another algorithm")
    if algorithm == RecipientKind.ED25519.value:
        _check_ed25519(fields)
    else:
        _check_rsa(fields)
    text = f"{algorithm} {binascii.b2a_base64(wire, newline=False).decode()}"
    tag = hashlib.sha256(wire).digest()[:4]
    return Recipient(text, RecipientKind(algorithm), tag, comment)


def _fields(wire: bytes) -> list[bytes]:
    """The length-prefixed strings of a wire form (RFC 4251 section 5)."""
    found = []
    while wire:
        size = int.from_bytes(wire[:4], "big")
        field = wire[4 : 4 + size]
        if len(wire) < 4 or len(field) != size:
            raise ValueError("is cut off")
        found.append(field)
        wire = wire[4 + size :]
    if not found:
        raise ValueError("is cut off")
    return found


def _check_ed25519(fields: list[bytes]) -> None:
    if [len(field) for field in fields] != [_ED25519_SIZE]:
        raise ValueError("is malformed: an Ed25519 key has 32 bytes")
    if not curves.is_ed25519(fields[0]):
        raise ValueError("is no point of its curve: it was mistyped")
    if curves.is_weak_ed25519(fields[0]):
        raise ValueError(WEAK)


def _check_rsa(fields: list[bytes]) -> None:
    if len(fields) != 2:
        raise ValueError("is malformed: an RSA key has an exponent and a modulus")
    exponent, modulus = (int.from_bytes(field, "big", signed=True) for field in fields)
    if exponent < 3 or modulus < 3 or not exponent & modulus & 1:
        raise ValueError("is malformed: its exponent or modulus is none of RSA's")
    bits = modulus.bit_length()
    if bits not in _RSA_BITS:
        what = "weak" if bits < _RSA_BITS.start else "large"
        raise ValueError(
            f"is an RSA key of {bits} bits, which is too {what}; "
            f"age takes {_RSA_BITS.start} to {_RSA_BITS.stop - 1}"
        )
