"""What an age file, a key or a passphrase can be wrong in."""

from __future__ import annotations

from orchestrator.model.secrets.ciphertext import FormatFault


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
