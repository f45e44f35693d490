"""What a host still needs before it can open the secrets that are meant for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Lack(Enum):
    """Why a host cannot open a secret that is meant for it, and so what has to be done.

    The value is a fact about the secret, without a full stop.
    """

    RULE = "has no rule in secrets.nix"
    FILE = "is not there"
    KEY = "has a rule that does not name its key"
    REKEY = "is not encrypted to its key"
    UNCLEAR = "is damaged, or its rule is: orchestrator secrets check tells"


@dataclass(frozen=True, slots=True)
class Need:
    """One secret that is meant for a host.

    Attributes:
        path: Relative to the repository.
        lacks: All that is in the way; empty where the host can open it.
    """

    path: str
    lacks: frozenset[Lack] = frozenset()


@dataclass(frozen=True, slots=True)
class Needs:
    """All secrets that are meant for a host.

    Attributes:
        host: Its name.
        key: The key to encrypt to, without a comment; ``None`` where none of its keys will do.
        secrets: Those that its configuration uses, and those whose rules name a key of its.
        old: Keys that the rules call its own by their comments, and that are none of its keys.
        elsewhere: Secrets that it uses and opens with another key than its host key.
    """

    host: str
    key: str | None
    secrets: tuple[Need, ...] = ()
    old: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()

    def lacking(self, *which: Lack) -> tuple[str, ...]:
        """The secrets that lack any of these, in their order."""
        return tuple(one.path for one in self.secrets if one.lacks & set(which))

    @property
    def opened(self) -> int:
        """How many of the secrets the host can open."""
        return sum(not one.lacks for one in self.secrets)
