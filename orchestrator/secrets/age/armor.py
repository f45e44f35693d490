"""The textual form of an age file: strict PEM (C2SP age.md, "ASCII armor"; RFC 7468 section 3)."""

from __future__ import annotations

import binascii

from orchestrator.secrets.age.disguise import ARMOR as BEGIN
from orchestrator.secrets.age.disguise import is_conflict
from orchestrator.secrets.age.errors import AgeFormatError
from orchestrator.secrets.model.ciphertext import FormatFault

END = b"-----END AGE ENCRYPTED FILE-----"

_COLUMNS = 64
_SPACE = b" \t\r\n"


def is_armored(data: bytes) -> bool:
    """Whether a file is in the textual form, given its beginning."""
    return data.startswith(BEGIN)


def decode(data: bytes) -> bytes:
    """Turn the textual form into the binary one.

    Lines end with LF or CRLF; white space may follow the last one.

    Args:
        data: The whole file.

    Raises:
        AgeFormatError: It is not the strict textual form.
    """
    inside, end, after = data.partition(END)
    first, *lines = inside.split(b"\n")
    if first.removesuffix(b"\r") != BEGIN:
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
