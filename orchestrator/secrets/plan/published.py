"""Keys whose private halves everybody has, the example fleet's: no secret is safe with one."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

from orchestrator.core.units import listing
from orchestrator.secrets.age import keys
from orchestrator.secrets.model.ciphertext import Recipient, SecretFinding, is_for
from orchestrator.secrets.model.repository import HostSecrets, Identity
from orchestrator.secrets.plan.evidence import Evidence, finding, shortened

# `secrets/open-keys/*.pub` of the repository, to which a test holds them. Once published a key
# stays here, whatever the example has instead: whoever copied it has it still.
_KEYS = (
    ("admin@example", "AAAAC3NzaC1lZDI1NTE5AAAAIE9XPGCjtIodL7G9h7Lwqf2cx0r87DPS2x41jvDL6sC0"),
    ("root@p620", "AAAAC3NzaC1lZDI1NTE5AAAAICi3Nhw1sTA4q21CU60NnJzPFZtCqOj4edcG/2HwTknR"),
    ("root@razer", "AAAAC3NzaC1lZDI1NTE5AAAAIMI8O//ApNZZDq8W7VxYx6rA8qj5nOhzUzeJGH3GJ2F2"),
    ("root@samsung", "AAAAC3NzaC1lZDI1NTE5AAAAIBGdaOH6w+yXDjUBWANvwWse+txS9MwHTX0yRNJQgHjl"),
    ("root@p510", "AAAAC3NzaC1lZDI1NTE5AAAAIDKLBsr/eTu8sugX69GYYTRk3jpu90y7dAP0BND1jXya"),
    ("root@dex5550", "AAAAC3NzaC1lZDI1NTE5AAAAIC6VRmj3ixqTgBUAXzUe7+h3wul4sxM4F9fx2tBpTQDB"),
)


@functools.cache
def published() -> tuple[Recipient, ...]:
    """The published keys, with their comments."""
    return tuple(keys.parse(f"ssh-ed25519 {key} {name}") for name, key in _KEYS)


@functools.cache
def _points() -> frozenset[int | None]:
    return frozenset(keys.point(key) for key in published())


def is_published(recipient: Recipient) -> bool:
    """Whether everybody can decrypt what is encrypted to a key, in whichever way it is written."""
    try:
        found = keys.point(recipient)
    except ValueError:  # what is no key opens nothing
        return False
    return found is not None and found in _points()


def check(evidence: Evidence) -> Iterator[SecretFinding]:
    """Find secrets that everybody can decrypt; in a lab they are what they should be."""
    if evidence.in_lab:
        return
    for rule in evidence.rules.rules:
        named = [one for one in rule.recipients if is_published(one)]
        if named:
            yield _everybodys(evidence, rule.path, "is for", named)
        elif able := _able(evidence, rule.path):
            yield _everybodys(evidence, rule.path, "is still encrypted to", able)


def check_identities(
    evidence: Evidence, secrets: HostSecrets, identities: Iterable[Identity]
) -> Iterator[SecretFinding]:
    """Find private keys of a host that everybody has: its secrets are theirs, and so is its name.

    Args:
        evidence: Tells whether the host is a lab's.
        secrets: What the host's configuration says.
        identities: What the host says of its ``identity_paths``.
    """
    for one in identities:
        if one.public is not None and is_published(one.public) and not evidence.in_lab:
            yield finding(
                "KEY-PUBLISHED",
                "",
                f"{secrets.host}'s private key {one.path} is one that everybody has: it was "
                f"published with the example fleet ({shortened(one.public.text)})",
                host=secrets.host,
                effect="Everybody can decrypt its secrets, and pose as it",
                fix=f"make it a new one: ssh-keygen -t ed25519 -f {one.path}; then: "
                f"orchestrator host trust {secrets.host}",
            )


def _able(evidence: Evidence, path: str) -> list[Recipient]:
    """The published keys that a file tells it is encrypted to."""
    file = evidence.ciphertext(path)
    stanzas = file.header.stanzas if file and file.header else ()
    return [key for key in published() if any(is_for(stanza, key) for stanza in stanzas)]


def _everybodys(
    evidence: Evidence, path: str, how: str, able: Iterable[Recipient]
) -> SecretFinding:
    names = listing([shortened(f"{one.text} {one.comment}") for one in able])
    users = evidence.users(path)
    used = f"; {listing(users)} would use it" if users else ""
    fact = f"it {how} keys whose private halves are published with the example: {names}{used}"
    return finding("KEY-PUBLISHED", path, fact)
