"""A repository's secrets and their recipients, for a person to look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestrator.secrets.model.finding import SecretFinding
from orchestrator.secrets.model.recipient import RecipientKind


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
