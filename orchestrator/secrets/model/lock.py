"""Who a file was encrypted to, as it was written down when it was: ``secrets.lock.json``."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.secrets.model.recipient import Recipient


@dataclass(frozen=True, slots=True)
class LockEntry:
    """What is known of one encrypted file. It counts as long as the file's header is this one.

    Attributes:
        header: SHA-256 of the header, in hex.
        recipients: The recipients' fingerprints.
    """

    header: str
    recipients: frozenset[str]

    @classmethod
    def of(cls, header: str, recipients: Iterable[Recipient]) -> LockEntry:
        """Make the entry of a file that was just encrypted."""
        return cls(header, frozenset(fingerprint(one) for one in recipients))


@functools.lru_cache(maxsize=4096)
def fingerprint(recipient: Recipient) -> str:
    """Name a recipient by a hash of its text; two spellings of a key are two recipients."""
    digest = hashlib.sha256(recipient.text.encode()).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
