"""Base64 as age writes it: standard alphabet, no padding, one form for each value."""

from __future__ import annotations

import binascii


def decode(text: bytes) -> bytes:
    """Decode unpadded, canonical base64 (RFC 4648 sections 3.5 and 4; C2SP age.md, "Conventions").

    Raises:
        ValueError: It is padded, of another alphabet, or not canonical.
    """
    value = binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    if encode(value) != text:
        raise ValueError("not canonical")
    return value


def encode(value: bytes) -> bytes:
    """Encode without padding."""
    return binascii.b2a_base64(value, newline=False).rstrip(b"=")
