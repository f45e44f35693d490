"""A host's secrets: what its configuration says of them, and what the host can open."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.secrets.model.recipient import Recipient
from orchestrator.secrets.model.use import SecretUse


@dataclass(frozen=True, slots=True)
class HostSecrets:
    """What a host's configuration says of its secrets.

    Attributes:
        uses: The secrets.
        sources: Beside each use, the encrypted file's path on the host; ``None`` where it has none.
        identity_paths: Where the host looks for private keys, in order.
        program: The age that it opens them with; ``None`` where the configuration names none.
    """

    host: str
    uses: tuple[SecretUse, ...] = ()
    sources: tuple[str | None, ...] = ()
    identity_paths: tuple[str, ...] = ()
    program: str | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """A place where a host looks for a private key.

    Attributes:
        there: Whether there is something that root can read.
        public: The public half of an SSH key; ``None`` where it is another kind, or not known.
    """

    path: str
    there: bool
    public: Recipient | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of opening an encrypted file on a host.

    Attributes:
        error: What age said; ``None`` where it opened.
    """

    file: str
    error: str | None = None
