"""What an age file, a key or a passphrase can be wrong in."""

from __future__ import annotations

from orchestrator.core.errors import UsageError
from orchestrator.secrets.model.ciphertext import FormatFault


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
