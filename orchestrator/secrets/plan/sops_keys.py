"""Which keys a host opens files of sops with, and what they open."""

from __future__ import annotations

import binascii
import functools
import hashlib
import posixpath
from collections.abc import Iterable, Iterator, Sequence

from orchestrator.secrets.age import keys
from orchestrator.secrets.model.ciphertext import Recipient, RecipientKind
from orchestrator.secrets.model.repository import Identity
from orchestrator.secrets.model.sops import SopsContent, SopsHost, SopsKey, SopsKeys


def host_as_known(said: SopsKeys, texts: Iterable[str]) -> SopsHost:
    """Say which keys a host has, by its SSH host keys as they are known here.

    Args:
        said: Where its configuration looks for keys.
        texts: Its public SSH host keys.
    """
    own = tuple(parsed(texts))
    age = (_at(path, RecipientKind.ED25519, own) for path in said.ssh)
    rsa = (_at(path, RecipientKind.RSA, own) for path in said.gnupg_ssh)
    return _host(
        said, [one for found in age for one in found], [one for found in rsa for one in found]
    )


def _at(path: str, kind: RecipientKind, own: Iterable[Recipient]) -> Sequence[Recipient | None]:
    """The host keys that may be at a path; one that is not known where it is none of theirs."""
    is_host_key = posixpath.basename(path).startswith("ssh_host_")
    return [one for one in own if one.kind is kind and is_host_key] or [None]


def host_as_seen(said: SopsKeys, identities: Sequence[Identity]) -> SopsHost:
    """Say which keys a host has, by what it says itself; what is not there opens nothing.

    Args:
        said: Where its configuration looks for keys.
        identities: What the host says of ``said.paths``.
    """
    by_path = {one.path: one for one in identities}
    present = [path for path in said.paths if by_path[path].there]
    gone = said.file is not None and said.file not in present
    there = SopsKeys(
        ssh=tuple(path for path in said.ssh if path in present),
        file=None if gone else said.file,
        gnupg_ssh=tuple(path for path in said.gnupg_ssh if path in present),
        elsewhere=said.elsewhere,
    )
    lacks = "" if not gone or said.generated or said.file is None else said.file
    age = [by_path[path].public for path in there.ssh]
    return _host(there, age, [by_path[path].public for path in there.gnupg_ssh], lacks)


def _host(
    said: SopsKeys,
    age: Sequence[Recipient | None],
    rsa: Sequence[Recipient | None],
    lacks: str = "",
) -> SopsHost:
    points = (keys.point(one) for one in age if one is not None)
    prints = (pgp_fingerprint(one) for one in rsa if one is not None)
    return SopsHost(
        age=frozenset(one for one in points if one is not None),
        age_known=None not in age and said.file is None and not said.elsewhere,
        pgp=frozenset(filter(None, prints)),
        pgp_known=None not in rsa and not said.elsewhere,
        ssh_used=said.elsewhere,
        lacks=lacks,
    )


def pgp_fingerprint(key: Recipient) -> str | None:
    """The fingerprint of the PGP key that sops-nix makes of an SSH key; ``None`` if not of RSA.

    RFC 4880 section 12.2, with 1970-01-01 as the key's date.
    """
    if key.kind is not RecipientKind.RSA:
        return None
    _, exponent, modulus = keys.wire_fields(binascii.a2b_base64(key.text.split()[1]))
    body = b"\x04\0\0\0\0\x01" + _integer(modulus) + _integer(exponent)
    packet = b"\x99" + len(body).to_bytes(2, "big") + body
    return hashlib.sha1(packet, usedforsecurity=False).hexdigest().upper()


def _integer(data: bytes) -> bytes:
    number = int.from_bytes(data, "big")
    return number.bit_length().to_bytes(2, "big") + data.lstrip(b"\0")


def parsed(texts: Iterable[str]) -> Iterator[Recipient]:
    """Those of some keys that age can encrypt to."""
    return (one for text in texts if (one := recipient_of(text)) is not None)


@functools.lru_cache(maxsize=4096)
def recipient_of(text: str) -> Recipient | None:
    """Read a public key; ``None`` where it is none that age can encrypt to."""
    try:
        return keys.parse(text)
    except ValueError:
        return None


def opens(content: SopsContent, host: SopsHost) -> bool | None:
    """Whether a host opens a file; ``None`` where that cannot be known without its private keys."""
    found = [{_opens(key, host) for key in group} for group in content.groups]
    if sum(True in group for group in found) >= content.threshold:
        return True
    possible = sum(not {True, None}.isdisjoint(group) for group in found)
    return None if possible >= content.threshold else False


def _opens(key: SopsKey, host: SopsHost) -> bool | None:
    match key.kind:
        case "age":
            return _opens_age(recipient_of(key.text), host)
        case "pgp":
            text = fingerprint_text(key.text)
            same = len(text) >= 8 and any(one.endswith(text) for one in host.pgp)
            return same or (False if host.pgp_known else None)
        case _:
            return None  # a machine in a cloud may be allowed to


def _opens_age(recipient: Recipient | None, host: SopsHost) -> bool | None:
    """A key that sops-nix makes of an SSH key does not open what is for the SSH key as such."""
    if recipient is None:
        return None
    if recipient.kind in (RecipientKind.ED25519, RecipientKind.RSA):
        return None if host.ssh_used else False
    return keys.point(recipient) in host.age or (False if host.age_known else None)


def fingerprint_text(text: str) -> str:
    """A fingerprint of PGP as it is compared."""
    return text.replace(" ", "").removeprefix("0x").rstrip("!").upper()
