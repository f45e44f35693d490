"""All that the checks judge; findings, made and put in order."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.core.values import replace
from orchestrator.secrets.model.ciphertext import Ciphertext, Recipient, SecretFinding, Severity
from orchestrator.secrets.model.repository import Journal, LockEntry, Repository, Rules, SecretUse
from orchestrator.secrets.plan.explain import EXPLANATIONS


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that is there and is not read: ``why`` is a fact about it, such as ``is a FIFO``."""

    why: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a repository's secrets. Paths are relative to the repository.

    Attributes:
        rules: What ``secrets.nix`` says, or each of several.
        files: Each rule's file that is there.
        repository: What git knows; ``None`` where there is no git repository.
        undeclared: ``.age`` files that have no rule.
        lock: What was written down when files were encrypted.
        uses: What the hosts' configurations do with secrets; empty where that was not asked.
        hosts: Public keys → the hosts whose they are, each key without its comment.
        targets: The hosts that are to be deployed: what they lack is an error.
        known: Keys that are known beside those of the rules and the hosts, such as users'.
        called: Keys → what ``secrets.nix`` calls them.
        opened: Files that an identity at hand was tried on → why it failed, ``None`` if it did not.
        sources: The repository's Nix files, where they were read: path → text.
        leaked: Tracked files, each with the secret whose value stands in it; only those secrets
            that a key at hand opens were looked for.
        leaked_in_store: The same of files in the store that hosts' systems are made from.
        pending: A change of several files that was cut off.
        in_lab: Whether the hosts are a lab's, which have published keys by right.
        broken: Of several files of rules, those that say nothing usable.
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
    called: Mapping[str, str] = field(default_factory=dict)
    opened: Mapping[str, str | None] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict, repr=False)
    leaked: tuple[tuple[str, str], ...] = ()
    leaked_in_store: tuple[tuple[str, str], ...] = ()
    pending: Journal | None = None
    in_lab: bool = False
    broken: tuple[SecretFinding, ...] = ()

    def users(self, path: str) -> tuple[str, ...]:
        """The target hosts whose configurations use a file."""
        hosts = (use.host for use in self.uses if use.in_repo and use.file == path)
        return tuple(dict.fromkeys(host for host in hosts if host in self.targets))

    def unread(self, path: str) -> SecretFinding | None:
        """What keeps the rule of a file from being known: broken rules in a folder above it."""
        return next((one for one in self.broken if is_beside(one.path, path)), None)

    def ciphertext(self, path: str) -> Ciphertext | None:
        """A file that was read, sound or not."""
        found = self.files.get(path)
        return found if isinstance(found, Ciphertext) else None


def is_beside(rules: str, path: str) -> bool:
    """Whether a file is in the folder of a ``secrets.nix``, or below."""
    folder = posixpath.dirname(rules)
    return not folder or path.startswith(f"{folder}/")


_ORDER = {severity: place for place, severity in enumerate(Severity)}
_PLACE = {name: place for place, name in enumerate(EXPLANATIONS)}


def finding(
    name: str,
    path: str,
    fact: str,
    *,
    host: str | None = None,
    severity: Severity | None = None,
    effect: str | None = None,
    fix: str | None = None,
) -> SecretFinding:
    """Make a finding; what is not given is what :data:`EXPLANATIONS` says of its check.

    Args:
        name: The check's id.
        path: The file, relative to the repository; empty where it concerns none.
        fact: What is so, without a full stop.
        host: The host that is concerned.
        severity: Where it is not the check's own.
        effect: Likewise.
        fix: Likewise; ``PATH`` stands for the file.
    """
    said = EXPLANATIONS[name]
    return SecretFinding(
        id=name,
        severity=severity or said.severity,
        path=path,
        host=host,
        fact=fact,
        effect=effect or said.effect,
        fix=(fix or said.cure).replace("PATH", quoted(path)),
    )


def quoted(path: str) -> str:
    """A path as a shell and an option parser take it for a file's name."""
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


def in_order(findings: Iterable[SecretFinding], *, strict: bool) -> tuple[SecretFinding, ...]:
    """The worst first, then by check and by file.

    Args:
        findings: What was found.
        strict: Whether a warning is taken for an error.
    """
    taken = (_strictly(one) if strict else one for one in findings)
    return tuple(sorted(taken, key=_place))


def _place(one: SecretFinding) -> tuple[int, int, str, str]:
    return _ORDER[one.severity], _PLACE[one.id], one.path, one.host or ""


def _strictly(one: SecretFinding) -> SecretFinding:
    if one.severity is Severity.WARNING:
        return replace(one, severity=Severity.ERROR)
    return one


def shortened(key: str) -> str:
    """A key that is known by its kind and its end."""
    kind, _, body = key.partition(" ")
    if not body:
        return key if len(key) <= 24 else f"{key[:8]}…{key[-8:]}"
    body, _, comment = body.partition(" ")
    short = body if len(body) <= 16 else f"…{body[-8:]}"
    return f"{kind[:32]} {short} {comment[:40]}".rstrip()
