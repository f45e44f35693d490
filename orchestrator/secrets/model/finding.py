"""What a check of the secrets found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How a finding is to be taken: an error stops a deployment, a warning is told."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


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
