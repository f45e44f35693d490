"""What a check found; secrets and recipients, for a person to look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from orchestrator.secrets.model.ciphertext import RecipientKind


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


@dataclass(frozen=True, slots=True)
class SecretStatus:
    """One secret.

    Attributes:
        path: Relative to the repository.
        hosts: The hosts that can read it.
        others: What the other keys that can read it are called.
        unproved: Of those, they that are declared and not proved.
        unknown: How many more keys can read it that nobody here has.
        size: Bytes of its plaintext; ``None`` where that is not known.
        changed: When it was committed last; ``None`` where it never was.
        findings: What is wrong with it, the worst first.
    """

    path: str
    hosts: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    unproved: tuple[str, ...] = ()
    unknown: int = 0
    size: int | None = None
    changed: datetime | None = None
    findings: tuple[SecretFinding, ...] = ()


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """One recipient.

    Attributes:
        name: What it is called: a host, a person, a comment, or the key's end.
        kind: What sort of key it is.
        key: The key, without its comment.
        declared: How many secrets name it.
        lacking: Those of them that it cannot read.
        extra: Secrets that it can read and that do not name it.
        is_host: Whether it is a host of the fleet.
    """

    name: str
    kind: RecipientKind
    key: str
    declared: int
    lacking: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    is_host: bool = False
