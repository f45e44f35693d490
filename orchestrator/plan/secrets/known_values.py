"""Where a secret's value stands in the clear, or thinly disguised. No value is ever told."""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Iterator, Mapping

SHORTEST = 8
"""Bytes; a shorter value stands in many a file by chance."""

LONGEST = 2**16
"""Bytes; a larger one is no value that somebody copied by hand."""


def forms(plaintext: bytes) -> tuple[bytes, ...]:
    """The ways in which a value may stand in a file; none of one too short or too long to tell.

    As it is, in base64 and in hexadecimal, as a URL has it, and as a string of Nix or of a
    derivation does.
    """
    value = plaintext.strip()
    if not SHORTEST <= len(value) <= LONGEST:
        return ()
    quoted = value.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    found = (
        value,
        quoted,
        _base64(value),
        _base64(value + b"\n"),
        value.hex().encode(),
        value.hex().upper().encode(),
        urllib.parse.quote_from_bytes(value, safe="").encode(),
    )
    return tuple(dict.fromkeys(found))


def _base64(value: bytes) -> bytes:
    """Without the last sign, which depends on what follows."""
    return base64.b64encode(value).rstrip(b"=")[:-1]


def standing(
    values: Mapping[str, tuple[bytes, ...]], files: Mapping[str, bytes]
) -> Iterator[tuple[str, str]]:
    """Tell in which files values stand.

    Args:
        values: A secret's path → its value's forms.
        files: A file's path → what is in it.

    Yields:
        The file's path and the secret's.
    """
    for path, data in sorted(files.items()):
        for secret, wanted in values.items():
            if any(form in data for form in wanted):
                yield path, secret
