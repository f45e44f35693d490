"""Key revocation lists, as ``ssh-keygen -k`` makes them: OpenSSH's PROTOCOL.krl."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from orchestrator.ssh.lean import SSHPacket
from orchestrator.ssh.wire_key import Certificate, WireKey, read_key, strings

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


@dataclass(slots=True)
class _Certificates:
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


@dataclass(slots=True)
class Krl:
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
