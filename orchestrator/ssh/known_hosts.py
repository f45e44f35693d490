"""``known_hosts`` and ``RevokedHostKeys``, read as OpenSSH reads them."""

from __future__ import annotations

import base64
import binascii
import functools
import hmac
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from msgspec import Struct, field

from orchestrator.core.errors import StepError, cause_of
from orchestrator.ssh.keys import MAGIC, KeyFormatError, WireKey, is_known_kind, read_key, read_krl
from orchestrator.ssh.settings import look_again, moment

AUTHORITY = b"@cert-authority"
REVOKED = b"@revoked"

_LONGEST_PATTERN = 1022
"""Bytes; a list with a longer one matches nobody (match.c)."""

_SALT_BYTES = 20
_RSA_SIGNATURE = re.compile(rb"rsa-sha2-(?:256|512)(?=-cert-v01@openssh\.com\Z|\Z)")
_BLANK = re.compile(rb"[ \t]+")


class Entry(Struct, frozen=True):
    """What a line says of a host.

    Attributes:
        marker: ``@cert-authority``, ``@revoked``, or nothing where the key is the host's own.
        kind: Such as ``ssh-ed25519``.
        public: The key, without a certificate that may stand around it.
        certified: Whether there is one around it: no host shows the like of it as its plain key.
    """

    marker: bytes
    kind: bytes
    public: bytes
    certified: bool = False

    @property
    def text(self) -> str:
        """The key as it stands in a file: its kind and its base64."""
        return f"{self.kind.decode()} {base64.b64encode(self.public).decode()}"


class _Line(Struct, frozen=True):
    number: int
    marker: bytes
    hosts: bytes
    key: bytes


class KnownHosts(Struct, frozen=True):
    """The lines of some files, by whom they speak of.

    Attributes:
        named: Of hosts by their plain names, in lower case.
        hashed: Of a host whose name is hashed: salt, digest, line.
        others: With patterns; they may speak of any host.
    """

    named: dict[bytes, list[_Line]] = field(default_factory=dict)
    hashed: list[tuple[bytes, bytes, _Line]] = field(default_factory=list)
    others: list[_Line] = field(default_factory=list)

    def about(self, name: str) -> tuple[Entry, ...]:
        """What the files say of a host.

        Args:
            name: As it stands there: ``[name]:port`` where the port is not 22.
        """
        wanted = name.encode(errors="surrogateescape").lower()
        lines = [
            *self.named.get(wanted, ()),
            *(line for salt, digest, line in self.hashed if _is_hash_of(salt, digest, wanted)),
            *(line for line in self.others if _is_in_list(wanted, line.hosts)),
        ]
        lines.sort(key=lambda line: line.number)
        entries = (_entry(line.marker, line.key) for line in lines)
        return tuple(entry for entry in entries if entry is not None)

    def _add(self, number: int, text: bytes) -> None:
        line = _line(number, text)
        if line is None:
            return
        if line.hosts.startswith(b"|"):
            self._add_hashed(line)
        elif any(character in line.hosts for character in b"*?!"):
            self.others.append(line)
        else:
            for name in set(_list(line.hosts)):
                self.named.setdefault(name, []).append(line)

    def _add_hashed(self, line: _Line) -> None:
        parts = line.hosts.split(b"|")
        if len(parts) != 4 or parts[1] != b"1":
            return
        salt, digest = _base64(parts[2]), _base64(parts[3])
        if salt is not None and digest is not None and len(salt) == _SALT_BYTES:
            self.hashed.append((salt, digest, line))


def _line(number: int, text: bytes) -> _Line | None:
    """One line; nothing where it says nothing, or what it says is malformed."""
    text = text.split(b"\0", 1)[0].lstrip(b" \t")
    if not text or text.startswith(b"#"):
        return None
    marker = b""
    if text.startswith(b"@"):
        marker, _, text = text.partition(b" " if b" " in text else b"\t")
        if b"\t" in marker:
            # As OpenSSH sees it this is no marker. Whoever wrote it meant one: it may revoke.
            marker, _, rest = marker.partition(b"\t")
            text = b"%b %b" % (rest, text)
            marker = marker if marker == REVOKED else b""
        text = text.lstrip(b" \t")
        if marker not in (AUTHORITY, REVOKED) or text.startswith(b"@"):
            return None
    hosts, *rest_of_it = _BLANK.split(text, maxsplit=1)
    if not hosts or not rest_of_it:
        return None
    return _Line(number, marker, hosts, rest_of_it[0])


def read_public_line(text: bytes) -> Entry | None:
    """The key of a line of a list of keys: its kind, its base64, a comment."""
    return _entry(b"", text)


@functools.lru_cache(maxsize=4096)
def _entry(marker: bytes, text: bytes) -> Entry | None:
    kind, *more = _BLANK.split(text, maxsplit=2)
    # White space within base64 is passed over: files that were written elsewhere end lines in CR.
    blob = _base64(b"".join(more[0].split())) if more else None
    if blob is None:
        return None
    inner = blob[4 : 4 + int.from_bytes(blob[:4], "big")]
    # What is revoked stays so, whatever the line calls it.
    if marker != REVOKED and _kind(kind) != _kind(inner):
        return None
    try:
        key = read_key(blob)
    except KeyFormatError:
        # Of a kind that is not known here it is still one key that this host may have.
        return None if is_known_kind(inner) else Entry(marker, inner, blob)
    return Entry(marker, key.kind, key.public, certified=key.certificate is not None)


def _kind(name: bytes) -> bytes:
    """The kind of key that a name means: a line may have a signature's algorithm for it."""
    plain = name.removeprefix(b"webauthn-")
    return b"ssh-rsa" + plain[found.end() :] if (found := _RSA_SIGNATURE.match(plain)) else plain


def _base64(text: bytes) -> bytes | None:
    """Decode base64 that is written as OpenSSH writes it; it reads no other."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return data if base64.b64encode(data) == text else None


def _is_hash_of(salt: bytes, digest: bytes, name: bytes) -> bool:
    """Whether a hash is that of a name: HMAC-SHA1, the salt its key."""
    return hmac.digest(salt, name, "sha1") == digest


def _list(hosts: bytes) -> tuple[bytes, ...]:
    """The patterns of a list; none where one of them is too long."""
    patterns = tuple(hosts.lower().split(b","))
    if any(len(pattern.removeprefix(b"!")) > _LONGEST_PATTERN for pattern in patterns):
        return ()
    return patterns


def _is_in_list(name: bytes, hosts: bytes) -> bool:
    """Whether a pattern of a list matches a name, and no negated one does."""
    patterns = _list(hosts)
    if any(one.startswith(b"!") and matches(name, one[1:]) for one in patterns):
        return False
    return any(not one.startswith(b"!") and matches(name, one) for one in patterns)


def matches(name: bytes, pattern: bytes) -> bool:
    """Whether ``*`` (any characters) and ``?`` (one) make a pattern a name: ssh_config(5)."""
    at = tried = back = 0
    star = -1
    while at < len(name):
        if tried < len(pattern) and pattern[tried] == ord("*"):
            star, tried, back = tried, tried + 1, at
        elif tried < len(pattern) and pattern[tried] in (ord("?"), name[at]):
            at, tried = at + 1, tried + 1
        elif star >= 0:
            back += 1
            at, tried = back, star + 1
        else:
            return False
    return not pattern[tried:].strip(b"*")


def read_known_hosts(files: Iterable[str]) -> KnownHosts:
    """Read files; those that did not change since they were read last are not read again.

    Raises:
        OSError: One cannot be read.
    """
    return _as_of(tuple(files), moment())


def read_again() -> None:
    """Have files read again, even in this moment: one of them was just written here."""
    look_again()
    _as_of.cache_clear()


@functools.lru_cache(maxsize=16)
def _as_of(files: tuple[str, ...], _moment: int) -> KnownHosts:
    found = [(file, Path(file).stat()) for file in files]
    for file, now in found:
        if not stat.S_ISREG(now.st_mode):
            raise OSError(None, "it is no regular file", file)
    return _read(tuple((file, now.st_ino, now.st_size, now.st_mtime_ns) for file, now in found))


@functools.lru_cache(maxsize=16)
def _read(files: tuple[tuple[str, int, int, int], ...]) -> KnownHosts:
    return known_by(_lines(file for file, *_ in files))


def known_by(lines: Iterable[bytes]) -> KnownHosts:
    """What lines say, of files or of ``KnownHostsCommand``."""
    known = KnownHosts()
    for number, line in enumerate(lines):
        known._add(number, line)
    return known


def _lines(files: Iterable[str]) -> Iterator[bytes]:
    for file in files:
        yield from Path(file).read_bytes().split(b"\n")


Revokes = Callable[[WireKey], bool]
"""Whether a list revokes a key, or the authority that certified it."""


def read_revoked(files: Iterable[str]) -> tuple[Revokes, ...]:
    """Read the lists.

    Raises:
        StepError: One cannot be read. As with ssh nobody is trusted then: it may revoke any key.
    """
    return tuple(_revokes(file) for file in files)


def _revokes(file: str) -> Revokes:
    try:
        now = Path(file).stat()
        return _read_revoked(file, (now.st_ino, now.st_size, now.st_mtime_ns))
    except (OSError, ValueError) as error:
        raise StepError(
            f"RevokedHostKeys {file} cannot be read: {cause_of(error)}",
            hint="no host key is trusted without it, by ssh neither: make the file, "
            "name it by its whole path, or take the option out of ssh_config",
        ) from error


@functools.lru_cache(maxsize=16)
def _read_revoked(file: str, _state: tuple[int, int, int]) -> Revokes:
    data = Path(file).read_bytes()
    if data.startswith(MAGIC):
        return read_krl(data).revokes
    keys = _keys(data)

    def revokes(key: WireKey) -> bool:
        named = {key.public}
        if key.certificate is not None:
            named.add(key.certificate.authority.public)
        return not named.isdisjoint(keys)

    return revokes


def _keys(data: bytes) -> frozenset[bytes]:
    """The keys of a list in text, one in a line; a line that is none spoils all, as with ssh."""
    keys = set()
    for number, line in enumerate(data.split(b"\n"), 1):
        text = line.split(b"\0", 1)[0].lstrip(b" \t")
        if not text or text.startswith(b"#"):
            continue
        entry = read_public_line(text)
        if entry is None or not is_known_kind(entry.kind):
            raise ValueError(f"line {number} is no key")
        keys.add(entry.public)
    return frozenset(keys)
