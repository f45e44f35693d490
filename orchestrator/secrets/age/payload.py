"""The payload of an age file: how long the plaintext is, told by the payload's length."""

from __future__ import annotations

from orchestrator.secrets.age.errors import AgeFormatError
from orchestrator.secrets.model.ciphertext import FormatFault

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
