"""Whether a host's key is the one that it must be: OpenSSH's rules, sshconnect.c, always strict.

A key counts for the name that a host was asked for, or for its ``HostKeyAlias``: the address that
the name led to proves nothing. Whoever answers there may be any host of the fleet.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Sequence, Set
from functools import lru_cache

from msgspec import Struct

from orchestrator.ssh.keys import Certificate, KeyFormatError, WireKey, read_key, rsa_bits
from orchestrator.ssh.known_hosts import AUTHORITY, REVOKED, Entry, KnownHosts, Revokes
from orchestrator.ssh.lean import asyncssh, get_certificate_algs, get_public_key_algs
from orchestrator.ssh.rules import CERTIFIED, Rules, certified

_RSA = "ssh-rsa"
_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256", _RSA)


class UntrustedError(Exception):
    """A host shows a key that nobody vouches for. Its text says why.

    Args:
        reason: Why.
        unknown: Whether all that is missing is somebody who vouches for it.
    """

    def __init__(self, reason: str, *, unknown: bool = False) -> None:
        super().__init__(reason)
        self.unknown = unknown


class _Found(enum.Enum):
    """What known hosts say of a key, or of the authority that certified it."""

    KNOWN = enum.auto()
    ANOTHER = enum.auto()
    NOTHING = enum.auto()


class HostTrust(Struct, frozen=True):
    """What is known of one host before it is asked.

    Attributes:
        host: Its name, in lower case, or its address.
        port: Where it listens.
        rules: What ``ssh_config`` says.
        known: Its known hosts.
        revoked: Its ``RevokedHostKeys``.
        proxied: Whether it is reached through a jump host or a command.
        commanded: What ``KnownHostsCommand`` says of its :attr:`name`.
        ordering: What it says when it is asked for the order of algorithms.
    """

    host: str
    port: int
    rules: Rules
    known: KnownHosts
    revoked: tuple[Revokes, ...] = ()
    proxied: bool = False
    commanded: tuple[Entry, ...] = ()
    ordering: tuple[Entry, ...] = ()

    @property
    def principal(self) -> str:
        """What a certificate must call it."""
        return self.rules.alias or self.host

    @property
    def name(self) -> str:
        """What known hosts call it."""
        return self._names[0]

    @property
    def _names(self) -> tuple[str, ...]:
        """What it is looked up by, in turn: an alias stands for itself, without a port."""
        return (self.rules.alias,) if self.rules.alias else _with_port(self.host, self.port)

    def _about(self, name: str) -> tuple[Entry, ...]:
        """What files and the command say of a name; what it says of another one does not count."""
        entries = self.known.about(name)
        return (*entries, *self.commanded) if name == self.name else entries

    def check(self, blob: bytes, address: str | None, algorithm: str | None) -> asyncssh.SSHKey:
        """Tell whether the key that a host shows is its own; give it to verify with.

        Args:
            blob: The key as it stands on the wire.
            address: Where the host answers; it only matters with ``CheckHostIP yes``.
            algorithm: What was agreed on; ``None``: nothing was, and no signature is believed.

        Raises:
            UntrustedError: It is not, or nobody knows.
        """
        try:
            key = read_key(blob)
        except KeyFormatError as error:
            raise UntrustedError(f"the key that it shows is malformed: {error}") from error
        if algorithm is not None and not _fits(key, algorithm):
            raise UntrustedError(f"it shows another kind of key than was agreed on: {algorithm}")
        if fault := self._fault_of_algorithm(key, is_certified=key.certificate is not None):
            raise UntrustedError(fault)
        if any(revokes(key) for revokes in self.revoked):
            raise UntrustedError("the key that it shows is revoked (RevokedHostKeys)")
        addresses = self._addresses(address)
        if not self._is_known(key, key.certificate is not None, self._names, addresses):
            raise UntrustedError(self._why_not(key), unknown=True)
        # A signature of another algorithm than was asked for proves nothing.
        key.key.all_sig_algorithms = {_signature(algorithm)} if algorithm is not None else set()
        return key.key

    def trusted_keys(self) -> tuple[Entry, ...]:
        """The keys that the host may show without a certificate."""
        for name in self._names:
            entries = self._about(name)
            revoked = {entry.public for entry in entries if entry.marker == REVOKED}
            if own := [one for one in entries if not one.marker and not one.certified]:
                kept = (one for one in own if one.public not in revoked)
                return tuple(one for one in kept if not self._is_revoked(one))
        return ()

    def _is_revoked(self, entry: Entry) -> bool:
        try:
            key = read_key(entry.public)
        except KeyFormatError:
            return True
        return any(revokes(key) for revokes in self.revoked)

    def algorithms(self) -> list[str]:
        """What is asked of it: as OpenSSH orders them, those of known keys first."""
        if not self.rules.known_keys_first:
            return list(_offered(self.rules.algorithms))
        entries = (*self.known.about(self.name), *self.ordering)
        authority = any(entry.marker == AUTHORITY for entry in entries)
        return list(_ordered(self.rules.algorithms, frozenset(_kinds_of(entries)), authority))

    def _addresses(self, address: str | None) -> tuple[str, ...]:
        """The names of its address, where that must be known, too: ``CheckHostIP yes``."""
        if not self.rules.check_address or self.proxied or not address or _is_loopback(address):
            return ()
        names = _with_port(address, self.port)
        return names[: len(self._names)]

    def _is_known(
        self, key: WireKey, is_certified: bool, names: Sequence[str], addresses: Sequence[str]
    ) -> bool:
        found = _look_up(self._about(names[0]), key, is_certified)
        if found is _Found.NOTHING and len(names) > 1:
            known = self._is_known(key, is_certified, names[1:], addresses[1:])
        else:
            known = found is _Found.KNOWN
        if is_certified:
            certificate = key.certificate
            assert certificate is not None
            valid = known and not self._fault(certificate)
            return valid or self._is_known(key, False, names, addresses)
        if not known or self._fault_of_algorithm(key, is_certified=False):
            return False
        if not addresses:
            return True
        there = _look_up(self._about(addresses[0]), key, is_certified)
        return there is not _Found.ANOTHER

    def _fault(self, certificate: Certificate) -> str:
        """What is wrong with a certificate; nothing where it holds."""
        now = int(time.time())
        principal = self.principal.encode(errors="surrogateescape")
        algorithm = certificate.signed_by.decode(errors="replace")
        if not certificate.for_host:
            return "its certificate is a user's"
        if now < certificate.valid_after:
            return "its certificate is not valid yet"
        if now >= certificate.valid_before:
            return "its certificate has expired"
        # Of none at all OpenSSH made any host before it came to make none of it.
        if principal not in certificate.principals:
            return f"its certificate is not one for {self.principal}"
        if certificate.critical:
            return "its certificate has a critical option, and none is known for hosts"
        if algorithm not in self.rules.authority_algorithms:
            return f"its certificate is signed with {algorithm} (CASignatureAlgorithms)"
        return ""

    def _fault_of_algorithm(self, key: WireKey, *, is_certified: bool) -> str:
        kind = key.kind.decode()
        names = {certified(one) if is_certified else one for one in _signed_by(kind)}
        if names.isdisjoint(self.rules.algorithms):
            return f"it shows a key of a kind that was not asked for: {kind} (HostKeyAlgorithms)"
        if kind == _RSA and (bits := rsa_bits(key.key)) < self.rules.rsa_bits:
            return f"its RSA key has {bits} bits, too few (RequiredRSASize {self.rules.rsa_bits})"
        return ""

    def _why_not(self, key: WireKey) -> str:
        authorities = any(entry.marker == AUTHORITY for entry in self._about(self.name))
        faults = (
            self._fault(key.certificate) if key.certificate and authorities else "",
            self._fault_of_algorithm(key, is_certified=False),
        )
        if any(faults):
            return faults[0] or faults[1]
        if self.trusted_keys():
            return f"another key is known for {self.name}"
        return f"no key is known for {self.name}"


def _look_up(entries: Sequence[Entry], key: WireKey, is_certified: bool) -> _Found:
    """What lines about a name say of a key.

    Raises:
        UntrustedError: They revoke it, or its authority.
    """
    certificate = key.certificate if is_certified else None
    revoked = {entry.public for entry in entries if entry.marker == REVOKED}
    if key.public in revoked:
        raise UntrustedError("the key that it shows is revoked (@revoked in known_hosts)")
    if certificate and certificate.authority.public in revoked:
        raise UntrustedError("who certified its key is revoked (@revoked in known_hosts)")
    marker = AUTHORITY if certificate else b""
    wanted = certificate.authority.public if certificate else key.public
    candidates = [entry for entry in entries if entry.marker == marker]
    if any(entry.public == wanted and not entry.certified for entry in candidates):
        return _Found.KNOWN
    return _Found.ANOTHER if candidates else _Found.NOTHING


def _kinds_of(entries: Sequence[Entry]) -> set[str]:
    """The kinds of which a key is known: the first one of each, where it is not revoked."""
    revoked = {entry.public for entry in entries if entry.marker == REVOKED}
    first: dict[bytes, Entry] = {}
    for entry in entries:
        if not entry.marker and not entry.certified:
            first.setdefault(entry.kind, entry)
    return {
        kind.decode(errors="replace")
        for kind, entry in first.items()
        if entry.public not in revoked
    }


def _with_port(host: str, port: int) -> tuple[str, ...]:
    return (host,) if port == 22 else (f"[{host}]:{port}", host)


def _is_loopback(address: str) -> bool:
    return address == "::1" or address.startswith("127.")


def _kind(algorithm: str) -> str:
    """The kind of key that an algorithm takes."""
    plain = algorithm.removesuffix(CERTIFIED)
    if plain in _RSA_SIGNATURES:
        return _RSA
    return f"{plain}@openssh.com" if plain.startswith("sk-") and "@" not in plain else plain


@lru_cache
def _offered(algorithms: tuple[str, ...]) -> tuple[str, ...]:
    known = {*get_public_key_algs(), *get_certificate_algs()}
    return tuple(one for one in algorithms if one.encode() in known)


@lru_cache
def _ordered(algorithms: tuple[str, ...], kinds: Set[str], authority: bool) -> tuple[str, ...]:
    """Put algorithms of known keys first, unless the first one is one; the same for many hosts."""
    offered = _offered(algorithms)
    if offered and _kind(offered[0]) in kinds:
        return offered

    def is_known(algorithm: str) -> bool:
        return _kind(algorithm) in kinds or (authority and algorithm.endswith(CERTIFIED))

    return tuple(sorted(offered, key=lambda algorithm: not is_known(algorithm)))


def _fits(key: WireKey, algorithm: str) -> bool:
    """Whether a key is of the kind that an algorithm takes, with a certificate or without."""
    with_certificate = algorithm.endswith(CERTIFIED)
    return _kind(algorithm) == key.kind.decode() and with_certificate == bool(key.certificate)


def _signature(algorithm: str) -> bytes:
    """The one algorithm of signatures that was agreed on with an algorithm of keys."""
    plain = algorithm.removesuffix(CERTIFIED)
    return (plain if plain in _RSA_SIGNATURES else _kind(algorithm)).encode()


def _signed_by(kind: str) -> tuple[str, ...]:
    return _RSA_SIGNATURES if kind == _RSA else (kind,)
