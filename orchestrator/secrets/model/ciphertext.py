"""An encrypted file, as far as it can be known without a key."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class FormatFault(Enum):
    """Why a file is not a sound age file."""

    EMPTY = "empty"
    LFS_POINTER = "lfs-pointer"
    GIT_CRYPT = "git-crypt"
    CONFLICT = "conflict-markers"
    BYTE_ORDER_MARK = "byte-order-mark"
    UTF16 = "utf-16"
    CRLF = "crlf"
    PRIVATE_KEY = "private-key"
    PLAINTEXT = "plaintext"
    NOT_AGE = "not-age"
    VERSION = "version"
    TOO_LARGE = "header-too-large"
    CUT_HEADER = "cut-header"
    NO_STANZA = "no-stanza"
    ARGUMENT = "bad-argument"
    BODY = "bad-body"
    BASE64 = "bad-base64"
    MAC = "bad-mac"
    MIXED_SCRYPT = "mixed-scrypt"
    CUT_PAYLOAD = "cut-payload"
    ARMOR_BEGIN = "armor-begin"
    ARMOR_BODY = "armor-body"
    ARMOR_END = "armor-end"
    ARMOR_TRAILING = "armor-trailing"


@dataclass(frozen=True, slots=True)
class Stanza:
    """The file's key, wrapped for one recipient.

    Attributes:
        kind: The first word, such as ``ssh-ed25519``.
        arguments: The words after it.
        tag: The 4 bytes that tell whom it is for; ``None`` where it tells nothing.
        body: The wrapped key.
    """

    kind: str
    arguments: tuple[str, ...]
    tag: bytes | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """The textual head of an age file.

    Attributes:
        stanzas: In the file's order; at least one.
        mac: The 32 bytes that only a recipient can verify.
        size: Bytes of the header with its MAC line.
        digest: SHA-256 of these bytes, in hexadecimal.
    """

    stanzas: tuple[Stanza, ...]
    mac: bytes
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Ciphertext:
    """One encrypted file.

    Attributes:
        path: Relative to the repository.
        header: ``None`` where it could not be read.
        fault: Why the file is not sound; the header may be there all the same.
        detail: The fault in words, without a full stop.
        armored: Whether it is the textual form.
        plaintext_size: Bytes of the plaintext, exactly; ``None`` where the payload is not sound.
        extra_newline: Whether a binary file ends with a newline. One in 256 does so by chance; a
            hook that "fixes" the ends of text files makes all of them do so, and breaks them.
    """

    path: str
    header: Header | None
    fault: FormatFault | None
    armored: bool
    plaintext_size: int | None
    extra_newline: bool
    detail: str = ""
