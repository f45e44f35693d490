"""All that can be known of an encrypted file without a key."""

from __future__ import annotations

from orchestrator.secrets.age import armor, header, payload
from orchestrator.secrets.age.errors import AgeFormatError
from orchestrator.secrets.model.ciphertext import Ciphertext, FormatFault, Header

# Bytes to read of a file at the most: of a binary one, and of an armored one.
BINARY_PART = header.MAX_SIZE
ARMORED_PART = 16 * 2**20


def examine(path: str, data: bytes, size: int, last: bytes) -> Ciphertext:
    """Examine a file. What is wrong with it is part of the answer, never an exception.

    Args:
        path: What the answer calls it.
        data: Its beginning: ``BINARY_PART`` bytes, or, where ``armor.is_armored`` says so of them,
            ``ARMORED_PART``; all of it where it is shorter.
        size: Bytes of the whole file.
        last: Its last byte; empty where it has none.
    """
    if armor.is_armored(data):
        return _armored(path, data, size)
    newline = last == b"\n"
    try:
        head = header.parse(data)
    except AgeFormatError as error:
        return _faulty(path, None, error, armored=False, newline=newline)
    return _sized(path, head, size - head.size, armored=False, newline=newline)


def _armored(path: str, data: bytes, size: int) -> Ciphertext:
    try:
        if len(data) < size:
            text = f"is an armored file of more than {ARMORED_PART // 2**20} MiB"
            raise AgeFormatError(FormatFault.TOO_LARGE, text)
        binary = armor.decode(data)
        head = header.parse(binary)
    except AgeFormatError as error:
        return _faulty(path, None, error, armored=True, newline=False)
    return _sized(path, head, len(binary) - head.size, armored=True, newline=False)


def _sized(path: str, head: Header, rest: int, *, armored: bool, newline: bool) -> Ciphertext:
    try:
        plaintext = payload.plaintext_size(rest)
    except AgeFormatError as error:
        return _faulty(path, head, error, armored=armored, newline=newline)
    return Ciphertext(path, head, None, armored, plaintext, newline)


def _faulty(
    path: str, head: Header | None, error: AgeFormatError, *, armored: bool, newline: bool
) -> Ciphertext:
    return Ciphertext(path, head, error.fault, armored, None, newline, error.text)
