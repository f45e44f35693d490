"""The header of an age file: its stanzas, and whether the file is sound, without a key."""

from __future__ import annotations

import hashlib
import re
from typing import NoReturn

from orchestrator.secrets.age import file as age_file
from orchestrator.secrets.age.file import INTRO, AgeFormatError, is_conflict, unmask
from orchestrator.secrets.model.ciphertext import (
    Ciphertext,
    FormatFault,
    Header,
    Stanza,
    is_passphrase,
)

# Bytes and stanzas of a header that are read at the most: ours, the format has no bound. Whoever
# decrypts pays with the square of either.
MAX_SIZE = 64 * 1024
MAX_STANZAS = 1024

_V1 = INTRO + b"v1\n"
_ARGUMENTS = re.compile(rb"-> [!-~]+(?: [!-~]+)*")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*")
_COLUMNS = 64
_MAC_SIZE = 32
_TAGGED = frozenset({"ssh-ed25519", "ssh-rsa", "p256tag", "mlkem768p256tag", "piv-p256"})
_TAG_SIZE = 4
_SALT_SIZE = 16
# C2SP age.md "X25519 recipient stanza"; filippo.io/age/agessh, which checks them of every stanza of
# its kind, whomever that is for.
_ARGUMENT_SIZES = {"X25519": [32], "ssh-ed25519": [_TAG_SIZE, 32], "ssh-rsa": [_TAG_SIZE]}
"""Bytes of each argument, by the kind of recipient: a tag says whom it is for, then a share."""
_WRAPPED_SIZE = 32
"""Bytes of a wrapped file key: 16, and a tag of 16."""


def parse(data: bytes) -> Header:
    """Read the header of a binary age file.

    Args:
        data: The file, or its first ``MAX_SIZE`` bytes and more.

    Raises:
        AgeFormatError: It is no age file, its header is not sound, or is too large.
    """
    if not data.startswith(_V1):
        raise unmask(data)
    reader = _Lines(data, len(_V1))
    stanzas: list[Stanza] = []
    line = reader.next()
    while line.startswith(b"->"):
        if len(stanzas) == MAX_STANZAS:
            text = f"has more than {MAX_STANZAS} recipients"
            raise AgeFormatError(FormatFault.TOO_LARGE, text)
        stanzas.append(_stanza(reader, line))
        line = reader.next()
    mac = _mac(reader, line)
    if not stanzas:
        reader.refuse(FormatFault.NO_STANZA, "its header names no recipient")
    if len(stanzas) > 1 and any(map(is_passphrase, stanzas)):
        reader.refuse(FormatFault.MIXED_SCRYPT, "a passphrase stands beside other recipients")
    if is_passphrase(stanzas[0]) and work_of(stanzas[0]) is None:
        reader.refuse(FormatFault.ARGUMENT, "a passphrase's salt or work factor is malformed")
    digest = hashlib.sha256(data[: reader.at]).hexdigest()
    return Header(tuple(stanzas), mac, reader.at, digest)


class _Lines:
    """The lines of a header, one by one, with their numbers for what is said of them."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at
        self._number = 1

    def next(self) -> bytes:
        """The next line, without its end."""
        end = self._data.find(b"\n", self.at, MAX_SIZE)
        self._number += 1
        if end < 0:
            if len(self._data) >= MAX_SIZE:
                raise AgeFormatError(
                    FormatFault.TOO_LARGE, f"has a header of more than {MAX_SIZE // 1024} KiB"
                )
            raise AgeFormatError(FormatFault.CUT_HEADER, "is cut off within its header")
        line = self._data[self.at : end]
        self.at = end + 1
        if line.endswith(b"\r"):
            self.refuse(FormatFault.CRLF, "its line ends were converted to CRLF")
        if is_conflict(line):
            self.refuse(FormatFault.CONFLICT, "the markers of a merge conflict")
        return line

    def refuse(self, fault: FormatFault, text: str) -> NoReturn:
        """Say what is wrong with the line that was read last."""
        raise AgeFormatError(fault, f"is no sound age file (header line {self._number}: {text})")


def _stanza(reader: _Lines, line: bytes) -> Stanza:
    if not _ARGUMENTS.fullmatch(line):
        reader.refuse(FormatFault.ARGUMENT, "a recipient's arguments are malformed")
    kind, *arguments = line[3:].decode("ascii").split(" ")
    sizes = _ARGUMENT_SIZES.get(kind)
    if sizes is not None and [_length(one) for one in arguments] != sizes:
        wanted = " and ".join(map(str, sizes))
        text = f"the arguments of a recipient of kind {kind} are not {wanted} bytes"
        reader.refuse(FormatFault.ARGUMENT, text)
    body = _body(reader)
    if kind in ("X25519", "ssh-ed25519") and len(body) != _WRAPPED_SIZE:
        reader.refuse(FormatFault.BODY, f"a wrapped key has {len(body)} bytes")
    return Stanza(kind, tuple(arguments), _tag(kind, arguments), body)


def _length(text: str) -> int:
    """Bytes of an argument in base64; -1 where it is none, or not canonical."""
    try:
        return len(age_file.base64_decode(text.encode()))
    except ValueError:
        return -1


def work_of(stanza: Stanza) -> int | None:
    """The work factor of a passphrase, as a power of two; ``None`` where its stanza is malformed.

    C2SP age.md, "scrypt recipient stanza": a salt of 16 bytes, and a decimal without leading zeros.
    """
    if len(stanza.arguments) != 2 or len(stanza.body) != _WRAPPED_SIZE:
        return None
    salt, work = stanza.arguments
    well = _length(salt) == _SALT_SIZE and re.fullmatch(r"[1-9][0-9]{0,2}", work)
    return int(work) if well else None


def _body(reader: _Lines) -> bytes:
    lines = []
    while True:
        line = reader.next()
        if len(line) > _COLUMNS:
            reader.refuse(FormatFault.BODY, f"a wrapped key's line is longer than {_COLUMNS}")
        if line.startswith(b"-"):
            reader.refuse(FormatFault.BODY, "a wrapped key lacks its last, shorter line")
        if not _BASE64.fullmatch(line):
            reader.refuse(FormatFault.BASE64, "a wrapped key is not unpadded base64")
        lines.append(line)
        if len(line) < _COLUMNS:
            break
    try:
        return age_file.base64_decode(b"".join(lines))
    except ValueError:
        reader.refuse(FormatFault.BASE64, "a wrapped key is not canonical base64")


def _mac(reader: _Lines, line: bytes) -> bytes:
    if not line.startswith(b"---"):
        reader.refuse(FormatFault.ARGUMENT, "neither a recipient nor the end of the header")
    try:
        mac = age_file.base64_decode(line.removeprefix(b"--- "))
    except ValueError:
        mac = b""
    if len(mac) != _MAC_SIZE:
        reader.refuse(FormatFault.MAC, "the authentication code is malformed")
    return mac


def _tag(kind: str, arguments: list[str]) -> bytes | None:
    """The first argument of the kinds that say whom they are for."""
    if kind not in _TAGGED or not arguments:
        return None
    try:
        tag = age_file.base64_decode(arguments[0].encode())
    except ValueError:
        return None
    return tag if len(tag) == _TAG_SIZE else None


# Bytes to read of a file at the most: of a binary one, and of an armored one.
BINARY_PART = MAX_SIZE
ARMORED_PART = 16 * 2**20


def examine(path: str, data: bytes, size: int, last: bytes) -> Ciphertext:
    """Examine a file. What is wrong with it is part of the answer, never an exception.

    Args:
        path: What the answer calls it.
        data: Its beginning: ``BINARY_PART`` bytes, or, where ``file.is_armored`` says so of them,
            ``ARMORED_PART``; all of it where it is shorter.
        size: Bytes of the whole file.
        last: Its last byte; empty where it has none.
    """
    if age_file.is_armored(data):
        return _armored(path, data, size)
    newline = last == b"\n"
    try:
        head = parse(data)
    except AgeFormatError as error:
        return _faulty(path, None, error, armored=False, newline=newline)
    return _sized(path, head, size - head.size, armored=False, newline=newline)


def _armored(path: str, data: bytes, size: int) -> Ciphertext:
    try:
        if len(data) < size:
            text = f"is an armored file of more than {ARMORED_PART // 2**20} MiB"
            raise AgeFormatError(FormatFault.TOO_LARGE, text)
        binary = age_file.decode(data)
        head = parse(binary)
    except AgeFormatError as error:
        return _faulty(path, None, error, armored=True, newline=False)
    return _sized(path, head, len(binary) - head.size, armored=True, newline=False)


def _sized(path: str, head: Header, rest: int, *, armored: bool, newline: bool) -> Ciphertext:
    try:
        plaintext = age_file.plaintext_size(rest)
    except AgeFormatError as error:
        return _faulty(path, head, error, armored=armored, newline=newline)
    return Ciphertext(path, head, None, armored, plaintext, newline)


def _faulty(
    path: str, head: Header | None, error: AgeFormatError, *, armored: bool, newline: bool
) -> Ciphertext:
    return Ciphertext(path, head, error.fault, armored, None, newline, error.text)
