"""age files: read, and written by the age library."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import NewType, assert_never

import pyrage  # type: ignore[import-untyped]

from orchestrator.core.errors import StepError, UsageError
from orchestrator.secrets.model.ciphertext import FormatFault, Recipient, RecipientKind

Key = NewType("Key", object)
"""A private key as pyrage holds it; what it prints of itself is not the key."""

_NO_KEY = "No matching keys found"
_TOO_MUCH_WORK = "Excessive work"


class NotOpenedError(Exception):
    """A file was not opened; ``matching`` tells whether a key was meant to open it."""

    def __init__(self, matching: bool) -> None:
        super().__init__("meant for the key, and not opened" if matching else "no matching key")
        self.matching = matching


def takes(recipient: Recipient) -> bool:
    """Whether pyrage can encrypt to a recipient."""
    return _recipient(recipient) is not None


def encrypt(plaintext: bytes, recipients: Sequence[Recipient], *, armor: bool) -> bytes:
    """Encrypt in memory, to recipients that it ``takes``.

    Raises:
        ValueError: It does not take one, or there is none.
        StepError: They cannot stand together: post-quantum keys and others.
    """
    known = [_recipient(one) for one in recipients]
    if not known or None in known:
        raise ValueError("no recipient that pyrage can encrypt to")
    try:
        return bytes(pyrage.encrypt(plaintext, known, armored=armor))
    except pyrage.EncryptError as error:
        # It marks names for right-to-left text, which no terminal needs here.
        why = str(error).replace("\u2068", "").replace("\u2069", "")
        raise StepError(
            f"the secret was not encrypted: {why}",
            hint="name either post-quantum recipients alone, or none of them",
        ) from None


def decrypt(ciphertext: bytes, key: Key) -> bytes:
    """Decrypt in memory with one key.

    Raises:
        NotOpenedError: It does not open.
    """
    try:
        return bytes(pyrage.decrypt(_bare(ciphertext), [key]))
    except pyrage.DecryptError as error:
        raise NotOpenedError(_NO_KEY not in str(error)) from None


def decrypt_by_passphrase(ciphertext: bytes, passphrase: str) -> bytes:
    """Decrypt in memory what a passphrase opens.

    Raises:
        NotOpenedError: The passphrase is wrong; not ``matching`` where it was not even tried.
    """
    try:
        return bytes(pyrage.passphrase.decrypt(_bare(ciphertext), passphrase))
    except pyrage.DecryptError as error:
        raise NotOpenedError(_TOO_MUCH_WORK not in str(error)) from None


def ssh_key(data: bytes) -> Key:
    """Read an SSH private key that is not encrypted.

    Raises:
        ValueError: It cannot be used.
    """
    try:
        return Key(pyrage.ssh.Identity.from_buffer(data))
    except pyrage.IdentityError:
        raise ValueError("is a malformed private key of SSH") from None


def age_key(text: str) -> tuple[Key, str]:
    """Read an ``AGE-SECRET-KEY-1…``; its public half comes with it.

    Raises:
        ValueError: It is malformed.
    """
    try:
        key = pyrage.x25519.Identity.from_str(text)
    except pyrage.IdentityError:
        # Its message could repeat the key.
        raise ValueError("is a malformed private key of age") from None
    return Key(key), str(key.to_public())


def _recipient(recipient: Recipient) -> object | None:
    match recipient.kind:
        case RecipientKind.ED25519 | RecipientKind.RSA:
            make = pyrage.ssh.Recipient.from_str
        case RecipientKind.X25519:
            make = pyrage.x25519.Recipient.from_str
        case RecipientKind.P256TAG:
            make = pyrage.tag.Recipient.from_str
        case RecipientKind.MLKEM_P256TAG:
            make = pyrage.tagpq.Recipient.from_str
        case RecipientKind.PIV | RecipientKind.MLKEM | RecipientKind.PLUGIN:
            return None
        case _:
            assert_never(recipient.kind)
    try:
        found: object = make(recipient.text)
    except pyrage.RecipientError:
        return None
    return found


class AgeFormatError(Exception):
    """A file is no sound age file.

    Args:
        fault: The named cause.
        text: The fault as a fact about the file, such as ``is empty``; never of its content.
    """

    def __init__(self, fault: FormatFault, text: str) -> None:
        super().__init__(text)
        self.fault = fault
        self.text = text


class ClosedError(Exception):
    """No identity at hand opens a file. The text is a fact about the file; never of its content."""


class DamagedError(ClosedError):
    """An identity at hand is meant to open a file, and it does not open: it was altered."""


class IdentityError(UsageError):
    """A private key cannot be used; the message names its file, and never its content."""


def base64_decode(text: bytes) -> bytes:
    """Decode unpadded, canonical base64 (RFC 4648 sections 3.5 and 4; C2SP age.md, "Conventions").

    Raises:
        ValueError: It is padded, of another alphabet, or not canonical.
    """
    value = binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    if base64_encode(value) != text:
        raise ValueError("not canonical")
    return value


def base64_encode(value: bytes) -> bytes:
    """Encode without padding."""
    return binascii.b2a_base64(value, newline=False).rstrip(b"=")


INTRO = b"age-encryption.org/"
ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"

_LOOKED_AT = 1024
_LONGEST_VERSION = 32

_BEGINNINGS = (
    (b"\xef\xbb\xbf", FormatFault.BYTE_ORDER_MARK, "begins with a byte order mark"),
    (b"\xff\xfe", FormatFault.UTF16, "was converted to UTF-16"),
    (b"\xfe\xff", FormatFault.UTF16, "was converted to UTF-16"),
    (b"a\0g\0e\0", FormatFault.UTF16, "was converted to UTF-16"),
    (b"\0a\0g\0e", FormatFault.UTF16, "was converted to UTF-16"),
    (
        b"version https://git-lfs.github.com/spec/",
        FormatFault.LFS_POINTER,
        "is a Git LFS pointer: the file itself was not fetched",
    ),
    (b"\0GITCRYPT\0", FormatFault.GIT_CRYPT, "is encrypted by git-crypt, not by age"),
    (b"AGE-SECRET-KEY-", FormatFault.PRIVATE_KEY, "is an unencrypted private key of age"),
)
_CONFLICT = (b"<<<<<<< ", b"=======\n", b">>>>>>> ")


def is_conflict(line: bytes) -> bool:
    """Whether a text begins with what a failed merge of Git's leaves behind."""
    return line.startswith(_CONFLICT) or line == b"======="


def unmask(data: bytes) -> AgeFormatError:
    """Name what a file is, given its beginning.

    Args:
        data: The beginning of a file that does not begin with age's first line.
    """
    start = data[:_LOOKED_AT]
    if not start.strip():
        what = "holds nothing but white space" if start else "is empty"
        return AgeFormatError(FormatFault.EMPTY, what)
    for beginning, fault, what in _BEGINNINGS:
        if start.startswith(beginning):
            return AgeFormatError(fault, what)
    if is_conflict(start):
        return AgeFormatError(FormatFault.CONFLICT, "holds the markers of a merge conflict")
    if start.startswith(INTRO) or INTRO.startswith(start):
        return _first_line(start)
    return _something_else(start)


def _first_line(start: bytes) -> AgeFormatError:
    version, end, _ = start.removeprefix(INTRO).partition(b"\n")
    if not end:
        return AgeFormatError(FormatFault.CUT_HEADER, "is cut off within its first line")
    if version == b"v1\r":
        return AgeFormatError(FormatFault.CRLF, "had its line ends converted to CRLF")
    name = version[:_LONGEST_VERSION].decode("ascii", "replace")
    text = f"is of version {name!r} of the age format; only v1 is known"
    return AgeFormatError(FormatFault.VERSION, text)


def _something_else(start: bytes) -> AgeFormatError:
    if b" PRIVATE KEY-----" in start.partition(b"\n")[0]:
        return AgeFormatError(FormatFault.PRIVATE_KEY, "is an unencrypted private key")
    for beginning in (INTRO, ARMOR):
        before = start.find(beginning)
        if before > 0:
            text = f"has {before} bytes before the beginning of its age file"
            return AgeFormatError(FormatFault.NOT_AGE, text)
    if _is_text(start):
        return AgeFormatError(FormatFault.PLAINTEXT, "is not encrypted: it is plain text")
    return AgeFormatError(FormatFault.NOT_AGE, "is no age file")


def _is_text(start: bytes) -> bool:
    """Whether it reads as text; a character may be cut off at the end of what is looked at."""
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if len(start) < _LOOKED_AT or error.start < _LOOKED_AT - 4:
            return False
        text = start[: error.start].decode()
    return all(character.isprintable() or character in "\t\n\r\f" for character in text)


END = b"-----END AGE ENCRYPTED FILE-----"

_COLUMNS = 64
_SPACE = b" \t\r\n"


def is_armored(data: bytes) -> bool:
    """Whether a file is in the textual form, given its beginning; white space may come first."""
    return data[: _LOOKED_AT + len(ARMOR)].lstrip(_SPACE).startswith(ARMOR)


def _bare(data: bytes) -> bytes:
    """The same without the white space before the textual form, which pyrage does not take."""
    return data.lstrip(_SPACE) if is_armored(data) else data


def decode(data: bytes) -> bytes:
    """Turn the textual form into the binary one.

    Lines end with LF or CRLF; white space may stand before the first one and after the last one
    (C2SP age.md, "ASCII armor"). Not every program takes the former: age 1.1 does not.

    Args:
        data: The whole file.

    Raises:
        AgeFormatError: It is not the strict textual form.
    """
    inside, end, after = data.lstrip(_SPACE).partition(END)
    first, *lines = inside.split(b"\n")
    if first.removesuffix(b"\r") != ARMOR:
        raise AgeFormatError(FormatFault.ARMOR_BEGIN, "does not begin as an armored age file does")
    if any(map(is_conflict, lines)):
        raise AgeFormatError(FormatFault.CONFLICT, "holds the markers of a merge conflict")
    if not end:
        raise AgeFormatError(FormatFault.ARMOR_END, "is cut off: its last line is missing")
    if after.strip(_SPACE):
        raise AgeFormatError(FormatFault.ARMOR_TRAILING, "has something after its last line")
    return _body([line.removesuffix(b"\r") for line in lines])


def _body(lines: list[bytes]) -> bytes:
    """Decode the lines between the first and the last; what follows the last line end is empty."""
    *full, last, rest = [b"", b"", *lines]
    full = full[2:] if len(lines) > 1 else []
    if rest or not last or len(last) > _COLUMNS or any(len(line) != _COLUMNS for line in full):
        raise AgeFormatError(
            FormatFault.ARMOR_BODY, f"is armored, and not wrapped at {_COLUMNS} columns"
        )
    text = b"".join([*full, last])
    try:
        value = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        value = b""
    if binascii.b2a_base64(value, newline=False) != text:
        raise AgeFormatError(FormatFault.ARMOR_BODY, "is armored, and not in canonical base64")
    return value


_NONCE = 16
_CHUNK = 64 * 1024
_AUTHENTICATION = 16


def plaintext_size(payload: int) -> int:
    """Compute the plaintext's size in bytes, exactly (C2SP age.md, "Payload").

    A file that is cut between two chunks cannot be told from a whole one without a key.

    Args:
        payload: Bytes after the header.

    Raises:
        AgeFormatError: No plaintext has a payload of this length: the file is cut off.
    """
    full, rest = divmod(payload - _NONCE, _CHUNK + _AUTHENTICATION)
    if payload < _NONCE + _AUTHENTICATION:
        raise AgeFormatError(FormatFault.CUT_PAYLOAD, "is cut off at the start of its payload")
    if rest == 0:
        return full * _CHUNK
    if rest < _AUTHENTICATION or (rest == _AUTHENTICATION and full):
        raise AgeFormatError(FormatFault.CUT_PAYLOAD, "is cut off within its payload")
    return full * _CHUNK + rest - _AUTHENTICATION
