"""A key as a host shows it, its certificate, and lists of revoked keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from enum import IntEnum

from cryptography.exceptions import UnsupportedAlgorithm
from msgspec import Struct, field

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


class Certificate(Struct, frozen=True):
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


class WireKey(Struct, frozen=True):
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


MAGIC = b"SSHKRL\n\0"
_FORMAT = 1


class _Section(IntEnum):
    CERTIFICATES = 1
    KEYS = 2
    SHA1 = 3
    SHA256 = 5


class _By(IntEnum):
    """By what certificates are named in their section."""

    SERIALS = 0x20
    SERIAL_RANGE = 0x21
    SERIAL_BITS = 0x22
    KEY_IDS = 0x23


class _Certificates(Struct):
    """What is revoked of what one authority, or any, has signed."""

    authority: bytes
    serials: list[tuple[int, int]] = field(default_factory=list)
    key_ids: set[bytes] = field(default_factory=set)

    def revokes(self, certificate: Certificate) -> bool:
        if self.authority and self.authority != certificate.authority.public:
            return False
        serial = certificate.serial
        # Serial 0 is that of authorities that count none.
        return certificate.key_id in self.key_ids or any(
            serial and low <= serial <= high for low, high in self.serials
        )


class Krl(Struct):
    """A list: keys, hashes of keys, certificates."""

    keys: set[bytes] = field(default_factory=set)
    hashes: set[bytes] = field(default_factory=set)
    certificates: list[_Certificates] = field(default_factory=list)

    def revokes(self, key: WireKey) -> bool:
        """Whether a key, its certificate, or the authority behind it is revoked."""
        if self._revokes_plain(key):
            return True
        if key.certificate is None:
            return False
        return self._revokes_plain(key.certificate.authority) or any(
            one.revokes(key.certificate) for one in self.certificates
        )

    def _revokes_plain(self, key: WireKey) -> bool:
        digests = {hashlib.new(name, key.public).digest() for name in ("sha1", "sha256")}
        return key.public in self.keys or bool(self.hashes & digests)


def read_krl(data: bytes) -> Krl:
    """Read a list.

    Raises:
        ValueError: It is malformed, or has something in it that is not known here.
    """
    packet = SSHPacket(data[len(MAGIC) :])
    if packet.get_uint32() != _FORMAT:
        raise ValueError("an unknown version of the format")
    for _ in range(3):
        packet.get_uint64()  # its version, when it was made, flags
    packet.get_string()  # reserved
    packet.get_string()  # a comment
    krl = Krl()
    for kind, section in _sections(packet):
        _read_section(krl, kind, section)
    return krl


def _sections(packet: SSHPacket) -> Iterator[tuple[int, SSHPacket]]:
    while packet:
        yield packet.get_byte(), SSHPacket(packet.get_string())


def _read_section(krl: Krl, kind: int, section: SSHPacket) -> None:
    match kind:
        case _Section.CERTIFICATES:
            krl.certificates.append(_certificates(section))
        case _Section.KEYS:
            krl.keys.update(read_key(blob).public for blob in strings(section))
        case _Section.SHA1 | _Section.SHA256:
            length = 20 if kind == _Section.SHA1 else 32
            hashes = set(strings(section))
            if any(len(one) != length for one in hashes):
                raise ValueError("a hash of a wrong length")
            krl.hashes |= hashes
        case _:
            raise ValueError(f"a section of kind {kind}, which is not read here")


def _certificates(section: SSHPacket) -> _Certificates:
    authority = section.get_string()
    section.get_string()  # reserved
    found = _Certificates(read_key(authority).public if authority else b"")
    for kind, part in _sections(section):
        if kind == _By.KEY_IDS:
            found.key_ids.update(strings(part))
        else:
            found.serials.extend(_serials(kind, part))
    return found


def _serials(kind: int, part: SSHPacket) -> Iterator[tuple[int, int]]:
    match kind:
        case _By.SERIALS:
            while part:
                serial = part.get_uint64()
                yield serial, serial
        case _By.SERIAL_RANGE:
            yield part.get_uint64(), part.get_uint64()
        case _By.SERIAL_BITS:
            first, bits = part.get_uint64(), part.get_mpint()
            yield from ((first + at, first + at) for at in _set_bits(bits))
        case _:
            raise ValueError(f"certificates by {kind}, which is not read here")
    part.check_end()


def _set_bits(bits: int) -> Iterator[int]:
    return (at for at in range(bits.bit_length()) if bits >> at & 1)
