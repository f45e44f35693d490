"""A host's key as it stands on the wire, with its certificate if it has one.

RFC 4253 section 6.6 and OpenSSH's PROTOCOL.certkeys. What a certificate says is read here; what
it is worth is told in ``verify.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm

from orchestrator.ssh.lean import SSHPacket, String, asyncssh, decode_ssh_public_key

_CERTIFIED = b"-cert-v01@openssh.com"
_VENDOR = b"@openssh.com"

_PARTS = {
    b"ssh-ed25519": 1,
    b"ssh-rsa": 2,
    b"ssh-dss": 4,
    b"ecdsa-sha2-nistp256": 2,
    b"ecdsa-sha2-nistp384": 2,
    b"ecdsa-sha2-nistp521": 2,
    b"sk-ssh-ed25519@openssh.com": 2,
    b"sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
"""Of how many strings a key of each kind is made."""

SMALLEST_RSA = 1024
"""Bits; OpenSSH reads no smaller key, wherever it stands."""

_HOST_CERTIFICATE = 2


# What asyncssh and cryptography make of bytes that are no key; a host shows what it likes.
_NO_KEY = (ValueError, OverflowError, UnsupportedAlgorithm, asyncssh.Error)


class KeyFormatError(ValueError):
    """What was read is no key, or none that is worth anything."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What an authority says of a key.

    Attributes:
        authority: The authority's key, as :attr:`WireKey.public`.
        signed_by: The signature's algorithm.
        for_host: Whether it is a host's, and no user's.
        valid_after: Seconds since the epoch, the first that counts.
        valid_before: Seconds since the epoch, the first that counts no more.
        critical: Whether there are critical options. For a host none is defined.
    """

    authority: WireKey
    signed_by: bytes
    serial: int
    for_host: bool
    key_id: bytes
    principals: tuple[bytes, ...]
    valid_after: int
    valid_before: int
    critical: bool


@dataclass(frozen=True, slots=True)
class WireKey:
    """A public key.

    Attributes:
        kind: Such as ``ssh-ed25519``; of a certificate, the kind of the key in it.
        public: The key without certificate; two keys are the same where this is.
        key: To verify signatures with.
    """

    kind: bytes
    public: bytes
    key: asyncssh.SSHKey
    certificate: Certificate | None = None


def read_key(blob: bytes) -> WireKey:
    """Read a key, and the certificate around it. Its signature by the authority is verified.

    Raises:
        KeyFormatError: It is none.
    """
    try:
        kind = SSHPacket(blob).get_string()
        if not kind.endswith(_CERTIFIED):
            return _plain(kind, blob)
        return _certified(_without_certificate(kind), SSHPacket(blob))
    except _NO_KEY as error:
        raise KeyFormatError(str(error) or "it cannot be read") from error


def is_known_kind(kind: bytes) -> bool:
    """Whether keys of a kind, or certificates of them, can be read at all."""
    return _without_certificate(kind) in _PARTS


def _without_certificate(kind: bytes) -> bytes:
    plain = kind.removesuffix(_CERTIFIED)
    return plain + _VENDOR if plain.startswith(b"sk-") else plain


def _plain(kind: bytes, blob: bytes) -> WireKey:
    key = decode_ssh_public_key(blob)
    if kind == b"ssh-rsa" and rsa_bits(key) < SMALLEST_RSA:
        raise KeyFormatError(f"an RSA key of less than {SMALLEST_RSA} bits")
    return WireKey(kind, key.public_data, key)


def rsa_bits(key: asyncssh.SSHKey) -> int:
    """The length of an RSA key in bits."""
    packet = SSHPacket(key.public_data)
    packet.get_string()
    packet.get_mpint()
    return int(packet.get_mpint().bit_length())


def _certified(kind: bytes, packet: SSHPacket) -> WireKey:
    if kind not in _PARTS:
        raise KeyFormatError(f"a certificate of an unknown kind of key: {kind!r}")
    packet.get_string()
    packet.get_string()  # a nonce
    parts = [String(packet.get_string()) for _ in range(_PARTS[kind])]
    key = _plain(kind, String(kind) + b"".join(parts))
    return WireKey(kind, key.public, key.key, _certificate(packet))


def _certificate(packet: SSHPacket) -> Certificate:
    serial, of = packet.get_uint64(), packet.get_uint32()
    key_id, principals = packet.get_string(), packet.get_string()
    after, before = packet.get_uint64(), packet.get_uint64()
    critical = packet.get_string()
    packet.get_string()  # extensions; none is defined for a host
    packet.get_string()  # reserved
    blob = packet.get_string()
    signed = packet.get_consumed_payload()
    signature = packet.get_string()
    packet.check_end()
    authority = _plain(SSHPacket(blob).get_string(), blob)
    if not authority.key.verify(signed, signature):
        raise KeyFormatError("a certificate whose signature is wrong")
    return Certificate(
        authority=authority,
        signed_by=SSHPacket(signature).get_string(),
        serial=serial,
        for_host=of == _HOST_CERTIFICATE,
        key_id=_text(key_id),
        principals=tuple(_text(one) for one in strings(SSHPacket(principals))),
        valid_after=after,
        valid_before=before,
        critical=bool(critical),
    )


def strings(packet: SSHPacket) -> Iterator[bytes]:
    """All strings that a packet is made of."""
    while packet:
        yield packet.get_string()


def _text(text: bytes) -> bytes:
    if b"\0" in text:
        raise KeyFormatError("a certificate with a NUL in a name")
    return text
