"""A secret's file, who can read it, and what was found of it."""

from __future__ import annotations

import binascii
import hmac
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import assert_never


class RecipientKind(Enum):
    """What sort of key a recipient is; the value is the stanza that age writes for it.

    ``PLUGIN`` is any other ``age1NAME1…``: its plugin decides what stanza it writes.
    """

    ED25519 = "ssh-ed25519"
    RSA = "ssh-rsa"
    X25519 = "X25519"
    P256TAG = "p256tag"
    MLKEM_P256TAG = "mlkem768p256tag"
    PIV = "piv-p256"
    MLKEM = "mlkem768x25519"
    PLUGIN = "plugin"


@dataclass(frozen=True, slots=True)
class Recipient:
    """A public key that a secret can be encrypted to.

    Attributes:
        text: The key without its comment, as age takes it: equal for equal keys.
        kind: What sort of key it is.
        tag: What stanzas tell of the key: the first 4 bytes of the SHA-256 of its wire form (SSH)
            or of its point (P-256). ``None`` where a stanza tells nothing of whom it is for.
        comment: What followed the key, such as ``root@p620``.
    """

    text: str
    kind: RecipientKind
    tag: bytes | None
    comment: str = ""


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


_NATIVE = frozenset(kind.value for kind in RecipientKind if kind is not RecipientKind.PLUGIN)
_COMMON = frozenset({"ssh-ed25519", "ssh-rsa", "X25519"})
_GREASE = "-grease"
_SCRYPT = "scrypt"


def is_grease(stanza: Stanza) -> bool:
    """Whether it is noise, by which rage keeps readers used to kinds that they do not know."""
    return stanza.kind.endswith(_GREASE)


def is_passphrase(stanza: Stanza) -> bool:
    """Whether a passphrase opens it, which no host can type."""
    return stanza.kind == _SCRYPT


def is_foreign(stanza: Stanza) -> bool:
    """Whether only a plugin, or a program later than the library, may open it."""
    return stanza.kind not in _COMMON and not is_grease(stanza) and not is_passphrase(stanza)


def is_for(stanza: Stanza, recipient: Recipient) -> bool | None:
    """Tell whether a stanza is for a recipient.

    A tag is a hint of 32 bits: only decrypting proves.

    Args:
        stanza: A stanza of a header.
        recipient: A public key.

    Returns:
        ``None`` where stanzas of this kind do not tell.
    """
    match recipient.kind:
        case RecipientKind.X25519 | RecipientKind.MLKEM:
            return None if stanza.kind == recipient.kind.value else False
        case RecipientKind.PLUGIN:
            known = stanza.kind in _NATIVE or is_grease(stanza) or is_passphrase(stanza)
            return False if known else None
        case RecipientKind.ED25519 | RecipientKind.RSA:
            return stanza.kind == recipient.kind.value and _same(stanza.tag, recipient.tag)
        case RecipientKind.P256TAG | RecipientKind.MLKEM_P256TAG:
            return stanza.kind == recipient.kind.value and _bound(stanza, recipient.tag)
        case RecipientKind.PIV:
            if stanza.kind == RecipientKind.P256TAG.value:
                return _bound(stanza, recipient.tag)
            return stanza.kind == recipient.kind.value and _same(stanza.tag, recipient.tag)
        case _:
            assert_never(recipient.kind)


def _same(tag: bytes | None, other: bytes | None) -> bool:
    return tag is not None and tag == other


def _bound(stanza: Stanza, tag: bytes | None) -> bool:
    """Whether a tag is bound to the stanza's own key.

    ``HKDF-Extract(salt = "age-encryption.org/KIND", ikm = enc || tag)[:4]``, C2SP age.md, "p256tag
    recipient stanza".
    """
    if tag is None or len(stanza.arguments) != 2:
        return False
    text = stanza.arguments[1]
    try:
        enc = binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except ValueError:
        return False
    salt = f"age-encryption.org/{stanza.kind}".encode()
    return _same(stanza.tag, hmac.digest(salt, enc + tag, "sha256")[:4])


class Severity(Enum):
    """How a finding is to be taken: an error stops a deployment, a warning is told."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A check in words.

    Attributes:
        id: Its name.
        severity: How a finding is to be taken, where nothing makes it better or worse.
        verifies: What holds where it finds nothing.
        effect: What comes of a finding, without a full stop.
        cure: What to do; ``PATH`` stands for the file.
    """

    id: str
    severity: Severity
    verifies: str
    effect: str
    cure: str


@dataclass(frozen=True, slots=True)
class SecretFinding:
    """One thing that is wrong, or that cannot be proved.

    Attributes:
        id: The check's name, such as ``REKEY-NEEDED``.
        severity: How it is to be taken.
        path: The file, relative to the repository, or in the store; empty where it concerns none.
        host: The host that is concerned, where it is one.
        fact: What is so, without a full stop.
        effect: What comes of it, without a full stop.
        fix: What to do; a command where there is one.
    """

    id: str
    severity: Severity
    path: str
    host: str | None
    fact: str
    effect: str
    fix: str

    @property
    def message(self) -> str:
        """``path: fact. Effect. Fix: command``."""
        where = f"{self.path}: " if self.path else ""
        return f"{where}{self.fact}. {self.effect}. Fix: {self.fix}"

    def to_json(self) -> dict[str, str | None]:
        """The finding as ``--json`` prints it."""
        return {
            "id": self.id,
            "severity": self.severity.value,
            "path": self.path,
            "host": self.host,
            "message": self.message,
            "fix": self.fix,
        }


@dataclass(frozen=True, slots=True)
class SecretStatus:
    """One secret.

    Attributes:
        path: Relative to the repository.
        hosts: The hosts that can read it.
        others: What the other keys that can read it are called.
        unproved: Of those, they that are declared and not proved.
        unknown: How many more keys can read it that nobody here has.
        size: Bytes of its plaintext; ``None`` where that is not known.
        changed: When it was committed last; ``None`` where it never was.
        findings: What is wrong with it, the worst first.
    """

    path: str
    hosts: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    unproved: tuple[str, ...] = ()
    unknown: int = 0
    size: int | None = None
    changed: datetime | None = None
    findings: tuple[SecretFinding, ...] = ()


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """One recipient.

    Attributes:
        name: What it is called: a host, a person, a comment, or the key's end.
        kind: What sort of key it is.
        key: The key, without its comment.
        declared: How many secrets name it.
        lacking: Those of them that it cannot read.
        extra: Secrets that it can read and that do not name it.
        is_host: Whether it is a host of the fleet.
    """

    name: str
    kind: RecipientKind
    key: str
    declared: int
    lacking: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    is_host: bool = False
