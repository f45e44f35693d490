"""All that the checks judge, found out beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.secrets.model.ciphertext import Ciphertext
from orchestrator.secrets.model.journal import Journal
from orchestrator.secrets.model.lock import LockEntry
from orchestrator.secrets.model.recipient import Recipient
from orchestrator.secrets.model.repository import Repository
from orchestrator.secrets.model.rules import Rules
from orchestrator.secrets.model.use import SecretUse


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that is there and is not read: ``why`` is a fact about it, such as ``is a FIFO``."""

    why: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a repository's secrets. Paths are relative to the repository.

    Attributes:
        rules: What ``secrets.nix`` says.
        files: Each rule's file that is there.
        repository: What git knows; ``None`` where there is no git repository.
        undeclared: ``.age`` files that have no rule.
        lock: What was written down when files were encrypted.
        uses: What the hosts' configurations do with secrets; empty where that was not asked.
        hosts: Public keys → the hosts whose they are, each key without its comment.
        targets: The hosts that are to be deployed: what they lack is an error.
        known: Keys that are known beside those of the rules and the hosts, such as users'.
        opened: Files that an identity at hand was tried on → why it failed, ``None`` if it did not.
        sources: The repository's Nix files, where they were read: path → text.
        leaked: Tracked files, each with the secret whose value stands in it; only those secrets
            that a key at hand opens were looked for.
        leaked_in_store: The same of files in the store that hosts' systems are made from.
        pending: A change of several files that was cut off.
    """

    rules: Rules
    files: Mapping[str, Ciphertext | Unreadable] = field(default_factory=dict)
    repository: Repository | None = None
    undeclared: tuple[str, ...] = ()
    lock: Mapping[str, LockEntry] = field(default_factory=dict)
    uses: tuple[SecretUse, ...] = ()
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    targets: frozenset[str] = frozenset()
    known: tuple[Recipient, ...] = ()
    opened: Mapping[str, str | None] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict, repr=False)
    leaked: tuple[tuple[str, str], ...] = ()
    leaked_in_store: tuple[tuple[str, str], ...] = ()
    pending: Journal | None = None

    def users(self, path: str) -> tuple[str, ...]:
        """The target hosts whose configurations use a file."""
        hosts = (use.host for use in self.uses if use.in_repo and use.file == path)
        return tuple(dict.fromkeys(host for host in hosts if host in self.targets))

    def ciphertext(self, path: str) -> Ciphertext | None:
        """A file that was read, sound or not."""
        found = self.files.get(path)
        return found if isinstance(found, Ciphertext) else None
